//! Errors with their exact places, and the steps between a file and what the agent holds.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::path::Path;

use super::{
    Lab,
    diff::{LAB_TAG, plan},
    lab_name,
};
use crate::api::local::{
    protocol::{Kind, Request, Tags},
    view::{AccountView, Inventory, Named, SubnetView, VpcView},
};

const QUICKSTART: &str = include_str!("../../../labs/quickstart.toml");

const BASE: &str = r#"[[account]]
name = "provider"
[[vpc]]
name = "main"
account = "provider"
cidr = "10.0.0.0/16"
[[subnet]]
name = "first"
vpc = "main"
cidr = "10.0.1.0/24"
zone = "us-east-1a"
"#;

fn parse(text: &str) -> Result<Lab, String> {
    Lab::parse(Path::new("test.toml"), text.to_owned()).map_err(|error| {
        let hint = error.hint.as_ref().map(|hint| format!(" [{hint}]")).unwrap_or_default();
        format!("{error}{hint}")
    })
}

fn site() -> Inventory {
    let account = |id: &str, name: &str| AccountView { id: id.into(), name: name.into() };
    Inventory {
        accounts: vec![account("111122223333", "provider"), account("444455556666", "consumer")],
        zones: ["us-east-1a", "us-east-1b", "us-east-1c"].map(String::from).to_vec(),
        ..Inventory::default()
    }
}

#[test]
fn errors_have_a_line_a_column_and_the_nearest_name() {
    let base = |rest: &str| format!("{BASE}{rest}");
    let replaced = |from: &str, to: &str| BASE.replace(from, to);
    let cases = [
        (
            replaced("[[vpc]]", "[[vcp]]"),
            "test.toml:3:3: unknown field `vcp`, expected one of `name`, `account`, `vpc`, \
          `subnet`, `instance`, `load-balancer`, `target-group`, `listener`, `service`, `endpoint` [did you mean `vpc`?]",
        ),
        (
            replaced("cidr = \"10.0.0.0/16\"", "cdir = \"10.0.0.0/16\""),
            "test.toml:6:1: unknown field `cdir`, expected one of `name`, `account`, `cidr` [did you mean `cidr`?]",
        ),
        (replaced("cidr = \"10.0.0.0/16\"\n", ""), "test.toml:3:1: missing field `cidr`"),
        (
            replaced("vpc = \"main\"", "vpc = \"mian\""),
            "test.toml:9:7: the file has no vpc `mian`, only: main [did you mean `main`?]",
        ),
        (
            replaced("account = \"provider\"", "account = \"provder\""),
            "test.toml:5:11: the file has no account `provder`, only: provider [did you mean `provider`?]",
        ),
        (
            replaced("10.0.0.0/16", "10.0.0.0/33"),
            "test.toml:6:8: `10.0.0.0/33` is not an IPv4 network, for example 10.0.0.0/16",
        ),
        (
            replaced("10.0.1.0/24", "10.1.1.0/24"),
            "test.toml:10:8: 10.1.1.0/24 is not inside 10.0.0.0/16, the CIDR of vpc `main`",
        ),
        (
            base("[[instance]]\nname = \"a\"\nsubnet = \"first\"\naddress = \"10.0.2.1\"\n"),
            "test.toml:15:11: 10.0.2.1 is not inside 10.0.1.0/24, the CIDR of subnet `first`",
        ),
        (
            base("[[instance]]\nname = \"a\"\nsubnet = \"first\"\n[[instance]]\nname = \"a\"\nsubnet = \"first\"\n"),
            "test.toml:16:8: there are two objects of kind instance with the name `a`",
        ),
        (
            base("[[target-group]]\nname = \"t\"\nvpc = \"main\"\nprotocol = \"TPC\"\nport = 80\n"),
            "test.toml:15:12: `TPC` is not one of: TCP, UDP, TCP_UDP [did you mean `TCP`?]",
        ),
        (
            base("[[target-group]]\nname = \"t\"\nvpc = \"main\"\nprotocol = \"TCP\"\nport = 65536\n"),
            "test.toml:16:8: port 65536 is out of range: 1 to 65535",
        ),
        (
            base(
                "[[target-group]]\nname = \"t\"\nvpc = \"main\"\nprotocol = \"TCP\"\nport = 80\ntargets = [\"web\"]\n",
            ),
            "test.toml:17:12: the file has no instance `web`, nor any other",
        ),
        (
            base("[[listener]]\nload-balancer = \"nlb\"\nprotocol = \"TCP\"\nport = 80\n"),
            "test.toml:12:1: missing field `target-group`",
        ),
        ("name = \"x".to_owned(), "test.toml:1:10: invalid basic string, expected `\"`"),
    ];
    for (text, expected) in cases {
        assert_eq!(parse(&text).unwrap_err(), expected, "in\n{text}");
    }
}

#[test]
fn accounts_and_zones_are_compared_with_the_agents() {
    let lab = parse(&BASE.replace("us-east-1a", "us-east-1x")).unwrap();
    let error = plan(&lab, &site(), "plinkctl").err().unwrap();
    assert_eq!(
        error.to_string(),
        "test.toml:11:8: the agent has no zone `us-east-1x`, only: us-east-1a, us-east-1b, us-east-1c"
    );
    let lab = parse(&BASE.replace("\"provider\"", "\"provder\"")).unwrap();
    let error = plan(&lab, &site(), "plinkctl").err().unwrap();
    assert_eq!(error.to_string(), "test.toml:2:8: the agent has no account `provder`, only: provider, consumer");
    assert_eq!(error.hint.unwrap(), "did you mean `provider`?");
}

#[test]
fn what_exists_stays_and_what_differs_is_named() {
    let lab = parse(BASE).unwrap();
    let tags = |name: &str| Tags::from([("Name".into(), name.into()), (LAB_TAG.into(), "test".into())]);
    let mut held = site();
    let steps = |held: &Inventory| {
        let plan = plan(&lab, held, "plinkctl")?;
        let text = plan.steps.iter().map(|step| format!("{} {} {}", step.verb, step.kind, step.name));
        Ok::<_, super::LabError>((text.collect::<Vec<_>>(), plan.kept, plan.extra))
    };
    assert_eq!(steps(&held).unwrap().0, ["create vpc main", "create subnet first"]);
    held.vpcs.push(VpcView {
        id: "vpc-1".into(),
        name: "main".into(),
        account: Named { id: "111122223333".into(), name: "provider".into() },
        cidr: "10.0.0.0/16".into(),
        tags: tags("main"),
    });
    assert_eq!(steps(&held).unwrap().0, ["create subnet first"]);
    held.subnets.push(SubnetView {
        id: "subnet-1".into(),
        name: "first".into(),
        vpc: Named { id: "vpc-1".into(), name: "main".into() },
        zone: "us-east-1a".into(),
        cidr: "10.0.1.0/24".into(),
        tags: tags("first"),
        ..SubnetView::default()
    });
    held.subnets.push(SubnetView { id: "subnet-2".into(), tags: tags("second"), ..SubnetView::default() });
    let (none, kept, extra) = steps(&held).unwrap();
    assert!(none.is_empty());
    assert_eq!(kept, 2);
    assert_eq!(extra.iter().map(|it| (it.kind, it.id.as_str())).collect::<Vec<_>>(), [(Kind::Subnet, "subnet-2")]);

    held.subnets[0].zone = "us-east-1b".into();
    assert_eq!(
        steps(&held).unwrap_err().to_string(),
        "test.toml:8:8: subnet `first` exists with zone `us-east-1b`, the file says `us-east-1a`"
    );
    // Another lab's objects are not this one's.
    held.vpcs[0].tags.insert(LAB_TAG.into(), "other".into());
    held.subnets.clear();
    assert_eq!(steps(&held).unwrap().0.len(), 2);
}

#[test]
fn the_quickstart_is_a_valid_lab() {
    let lab = Lab::parse(Path::new("labs/quickstart.toml"), QUICKSTART.to_owned()).unwrap();
    assert_eq!(lab.name, "quickstart");
    let plan = plan(&lab, &site(), "/bin/plinkctl").unwrap();
    let ids = plan.ids;
    let mut commands = 0;
    for step in plan.steps {
        assert_ne!(step.verb, "accept");
        match (step.make)(&ids).request {
            Request::CreateInstance { command, .. } if !command.is_empty() => {
                assert_eq!(command, ["/bin/plinkctl", "serve", "http", "--port", "8080"]);
                commands += 1;
            }
            // The default configuration has no account `stranger`.
            Request::CreateService { allowed_principals, .. } => {
                assert_eq!(allowed_principals, ["arn:aws:iam::444455556666:root"]);
            }
            _ => {}
        }
    }
    assert_eq!(commands, 3);
}

#[test]
fn a_labs_name_is_found_in_a_file_that_is_wrong_otherwise() {
    let path = Path::new("dir/three.toml");
    assert_eq!(lab_name(path, "name = \"lab\"\n[[vcp]]\n").unwrap(), "lab");
    assert_eq!(lab_name(path, "[[vcp]]\n").unwrap(), "three");
    assert!(lab_name(path, "[[vcp\n").is_err());
}
