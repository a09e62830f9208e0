//! Lab files for scenarios.

use std::fmt::Write as _;

/// Addresses of the endpoint in the consumer's two subnets.
pub const ENDPOINT: [&str; 2] = ["10.0.1.100", "10.0.2.100"];

/// A provider's VPC with two subnets, `targets` instances named `web-1`, … from 10.0.1.10 on, and an NLB `nlb` with
/// cross-zone load balancing, a TCP listener 80 and a UDP listener 53 for the targets' ports 8080 and 5353, and the
/// endpoint service `orders` that asks for acceptance.
#[must_use]
pub fn provider(targets: usize) -> String {
    let mut lab = String::from(
        r#"
name = "test"
[[account]]
name = "provider"
[[account]]
name = "consumer"
[[vpc]]
name = "provider"
account = "provider"
cidr = "10.0.0.0/16"
[[subnet]]
name = "provider-a"
vpc = "provider"
cidr = "10.0.1.0/24"
zone = "us-east-1a"
[[subnet]]
name = "provider-b"
vpc = "provider"
cidr = "10.0.2.0/24"
zone = "us-east-1b"
[[load-balancer]]
name = "nlb"
subnets = ["provider-a", "provider-b"]
cross-zone = true
[[listener]]
load-balancer = "nlb"
protocol = "TCP"
port = 80
target-group = "web"
[[listener]]
load-balancer = "nlb"
protocol = "UDP"
port = 53
target-group = "dns"
[[service]]
name = "orders"
load-balancers = ["nlb"]
acceptance-required = true
allowed-principals = ["arn:aws:iam::444455556666:root"]
"#,
    );
    let names: Vec<String> = (1..=targets).map(|number| format!("\"web-{number}\"")).collect();
    let names = names.join(", ");
    for (group, protocol, port) in [("web", "TCP", 8080), ("dns", "UDP", 5353)] {
        let _ = write!(
            lab,
            "[[target-group]]\nname = \"{group}\"\nvpc = \"provider\"\nprotocol = \"{protocol}\"\nport = {port}\n\
             targets = [{names}]\n"
        );
    }
    for number in 1..=targets {
        let address = 9 + number;
        let _ = write!(
            lab,
            "[[instance]]\nname = \"web-{number}\"\nsubnet = \"provider-a\"\naddress = \"10.0.1.{address}\"\n"
        );
    }
    lab
}

/// A consumer's VPC with the same CIDR, an instance `<name>-client` at 10.0.1.10 (which exists in the provider's VPC
/// too) and an endpoint `<name>` to `orders` in both subnets.
#[must_use]
pub fn consumer(name: &str) -> String {
    format!(
        r#"
[[vpc]]
name = "{name}"
account = "consumer"
cidr = "10.0.0.0/16"
[[subnet]]
name = "{name}-a"
vpc = "{name}"
cidr = "10.0.1.0/24"
zone = "us-east-1a"
[[subnet]]
name = "{name}-b"
vpc = "{name}"
cidr = "10.0.2.0/24"
zone = "us-east-1b"
[[instance]]
name = "{name}-client"
subnet = "{name}-a"
address = "10.0.1.10"
[[endpoint]]
name = "{name}"
vpc = "{name}"
service = "orders"
subnets = ["{name}-a", "{name}-b"]
addresses = ["{}", "{}"]
"#,
        ENDPOINT[0], ENDPOINT[1]
    )
}
