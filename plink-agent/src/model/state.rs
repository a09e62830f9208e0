//! All objects, and how they change.
//!
//! A [`State`] is what the store holds, in memory. It changes by [`State::apply`] alone, so that replaying the store
//! gives the same state. Cloning one is cheap (tables and objects are shared until one is written to), so that readers
//! take a snapshot and never wait.

use std::{collections::BTreeMap, fmt, net::Ipv4Addr, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    AccountId, Arn, Endpoint, EndpointId, EndpointService, Eni, EniId, Instance, InstanceId, Listener, LoadBalancer,
    ServiceId, Subnet, SubnetId, Tags, Target, TargetGroup, Vpc, VpcId,
};

/// Objects of one kind by ID. Reads as a `BTreeMap`.
pub type Table<K, V> = Arc<BTreeMap<K, Arc<V>>>;

/// All objects.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct State {
    /// VPCs.
    pub vpcs: Table<VpcId, Vpc>,
    /// Subnets.
    pub subnets: Table<SubnetId, Subnet>,
    /// Network interfaces.
    pub enis: Table<EniId, Eni>,
    /// Instances.
    pub instances: Table<InstanceId, Instance>,
    /// Load balancers.
    pub load_balancers: Table<Arn, LoadBalancer>,
    /// Target groups.
    pub target_groups: Table<Arn, TargetGroup>,
    /// Listeners.
    pub listeners: Table<Arn, Listener>,
    /// Endpoint services.
    pub services: Table<ServiceId, EndpointService>,
    /// Interface endpoints.
    pub endpoints: Table<EndpointId, Endpoint>,
    /// The next generation to hand out; never falls, so that none is used twice, whatever was deleted meanwhile.
    pub next_generation: u32,
}

impl Default for State {
    fn default() -> Self {
        Self {
            vpcs: Table::default(),
            subnets: Table::default(),
            enis: Table::default(),
            instances: Table::default(),
            load_balancers: Table::default(),
            target_groups: Table::default(),
            listeners: Table::default(),
            services: Table::default(),
            endpoints: Table::default(),
            // 0 marks a free slot in the kernel's maps.
            next_generation: 1,
        }
    }
}

/// What every object has.
pub trait Entity {
    /// Its key.
    fn key(&self) -> Key;
    /// Whose it is.
    fn owner(&self) -> AccountId;
    /// Its tags.
    fn tags(&self) -> &Tags;
    /// Its tags, to change.
    fn tags_mut(&mut self) -> &mut Tags;
    /// The name that people use for it: its own, or the tag `Name`.
    fn name(&self) -> Option<&str> {
        self.tags().get("Name").map(String::as_str)
    }
}

/// An object of a kind that is known at compile time.
pub trait Kind: Entity + Clone + Into<Record> {
    /// Its ID or ARN.
    type Id: Ord + Clone + fmt::Display;
    /// What people call the kind, with its article.
    const LABEL: &'static str;
    /// Where its objects are.
    fn table(state: &State) -> &Table<Self::Id, Self>;
}

/// One enum each for keys and records, with a variant a kind, and the code that has to treat the kinds alike.
macro_rules! kinds {
    ($($kind:ident, $id:ty, $entity:ty, $field:ident, $table:ident, $label:literal, $($name:ident)?;)*) => {
        /// An object's ID, of any kind.
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        pub enum Key {
            $(#[doc = concat!("Of ", $label, ".")] $kind($id),)*
        }

        impl fmt::Display for Key {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self { $(Self::$kind(id) => id.fmt(f),)* }
            }
        }

        /// An object, of any kind.
        #[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
        pub enum Record {
            $(#[doc = concat!("Is ", $label, ".")] $kind($entity),)*
        }

        impl Key {
            /// What people call the kind, with its article.
            #[must_use]
            pub fn label(&self) -> &'static str {
                match self { $(Self::$kind(_) => $label,)* }
            }
        }

        impl Record {
            /// What every object has.
            #[must_use]
            pub fn entity(&self) -> &dyn Entity {
                match self { $(Self::$kind(entity) => entity,)* }
            }

            /// The same, to change.
            pub fn entity_mut(&mut self) -> &mut dyn Entity {
                match self { $(Self::$kind(entity) => entity,)* }
            }
        }

        $(
            impl Entity for $entity {
                fn key(&self) -> Key {
                    Key::$kind(self.$field.clone())
                }
                fn owner(&self) -> AccountId {
                    self.owner
                }
                fn tags(&self) -> &Tags {
                    &self.tags
                }
                fn tags_mut(&mut self) -> &mut Tags {
                    &mut self.tags
                }
                $(fn name(&self) -> Option<&str> {
                    Some(&self.$name)
                })?
            }

            impl Kind for $entity {
                type Id = $id;
                const LABEL: &'static str = $label;
                fn table(state: &State) -> &Table<$id, Self> {
                    &state.$table
                }
            }

            impl From<$entity> for Record {
                fn from(entity: $entity) -> Self {
                    Self::$kind(entity)
                }
            }
        )*

        impl State {
            fn put(&mut self, record: Record) {
                match record {
                    $(Record::$kind(entity) => {
                        Arc::make_mut(&mut self.$table).insert(entity.$field.clone(), Arc::new(entity));
                    })*
                }
            }

            fn delete(&mut self, key: &Key) {
                match key {
                    $(Key::$kind(id) => { Arc::make_mut(&mut self.$table).remove(id); })*
                }
            }

            /// The object with this key.
            #[must_use]
            pub fn record(&self, key: &Key) -> Option<Record> {
                match key {
                    $(Key::$kind(id) => self.$table.get(id).map(|entity| Record::$kind(entity.as_ref().clone())),)*
                }
            }

            /// All keys.
            pub fn keys(&self) -> impl Iterator<Item = Key> + '_ {
                std::iter::empty()$(.chain(self.$table.keys().cloned().map(Key::$kind)))*
            }
        }
    };
}

kinds! {
    Vpc, VpcId, Vpc, id, vpcs, "a VPC",;
    Subnet, SubnetId, Subnet, id, subnets, "a subnet",;
    Eni, EniId, Eni, id, enis, "a network interface",;
    Instance, InstanceId, Instance, id, instances, "an instance",;
    LoadBalancer, Arn, LoadBalancer, arn, load_balancers, "a load balancer", name;
    TargetGroup, Arn, TargetGroup, arn, target_groups, "a target group", name;
    Listener, Arn, Listener, arn, listeners, "a listener",;
    Service, ServiceId, EndpointService, id, services, "an endpoint service",;
    Endpoint, EndpointId, Endpoint, id, endpoints, "an endpoint",;
}

/// A change of the state: what the store records and [`State::apply`] makes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// Makes or replaces an object.
    Put(Record),
    /// Removes an object.
    Delete(Key),
    /// Moves [`State::next_generation`] on.
    NextGeneration(u32),
}

impl Change {
    /// Makes or replaces an object.
    pub fn put(entity: impl Into<Record>) -> Self {
        Self::Put(entity.into())
    }

    /// Removes an object.
    pub fn delete(entity: &impl Entity) -> Self {
        Self::Delete(entity.key())
    }
}

impl State {
    /// Makes a change. Changes of one decision are applied in order.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Put(record) => self.put(record),
            Change::Delete(key) => self.delete(&key),
            Change::NextGeneration(next) => self.next_generation = self.next_generation.max(next),
        }
    }

    /// The key of an ID or ARN in text form, if such an object exists.
    #[must_use]
    pub fn find_key(&self, text: &str) -> Option<Key> {
        self.keys_named_like(text).into_iter().find(|key| self.record(key).is_some())
    }

    fn keys_named_like(&self, text: &str) -> Vec<Key> {
        if let Ok(arn) = text.parse::<Arn>() {
            return vec![Key::LoadBalancer(arn.clone()), Key::TargetGroup(arn.clone()), Key::Listener(arn)];
        }
        let candidates = [
            text.parse().map(Key::Vpc),
            text.parse().map(Key::Subnet),
            text.parse().map(Key::Eni),
            text.parse().map(Key::Instance),
            text.parse().map(Key::Service),
            text.parse().map(Key::Endpoint),
        ];
        candidates.into_iter().flatten().collect()
    }

    /// The subnets of a VPC.
    pub fn subnets_of(&self, vpc: VpcId) -> impl Iterator<Item = &Arc<Subnet>> {
        self.subnets.values().filter(move |subnet| subnet.vpc == vpc)
    }

    /// The network interfaces in a VPC.
    pub fn enis_of(&self, vpc: VpcId) -> impl Iterator<Item = &Arc<Eni>> {
        self.enis.values().filter(move |eni| eni.vpc == vpc)
    }

    /// The network interface at an address of a VPC.
    #[must_use]
    pub fn eni_at(&self, vpc: VpcId, address: Ipv4Addr) -> Option<&Arc<Eni>> {
        self.enis_of(vpc).find(|eni| eni.address == address)
    }

    /// The network interface of an instance.
    #[must_use]
    pub fn eni_of_instance(&self, id: InstanceId) -> Option<&Arc<Eni>> {
        self.enis.get(&self.instances.get(&id)?.eni)
    }

    /// The network interface whose port has this slot (an interface index).
    #[must_use]
    pub fn eni_by_port(&self, port: u32) -> Option<&Arc<Eni>> {
        self.enis.values().find(|eni| port != 0 && eni.port == port)
    }

    /// The network interface of a registered target: that of its instance, or at its address in the group's VPC.
    /// A load balancer or an endpoint is not a target.
    #[must_use]
    pub fn eni_of_target(&self, group: &TargetGroup, target: &Target) -> Option<&Arc<Eni>> {
        let eni = match group.target_type {
            super::TargetType::Ip => self.eni_at(group.vpc, target.id.parse().ok()?)?,
            super::TargetType::Instance => self.eni_of_instance(target.id.parse().ok()?)?,
        };
        (eni.vpc == group.vpc && matches!(eni.role, super::EniRole::Instance(_))).then_some(eni)
    }

    /// The listeners of a load balancer, by ARN.
    pub fn listeners_of<'a>(&'a self, load_balancer: &'a Arn) -> impl Iterator<Item = &'a Arc<Listener>> {
        self.listeners.values().filter(move |listener| listener.load_balancer == *load_balancer)
    }

    /// The listeners that forward to a target group.
    pub fn listeners_to<'a>(&'a self, target_group: &'a Arn) -> impl Iterator<Item = &'a Arc<Listener>> {
        self.listeners.values().filter(move |listener| listener.target_group == *target_group)
    }

    /// The endpoint services that offer a load balancer.
    pub fn services_of<'a>(&'a self, load_balancer: &'a Arn) -> impl Iterator<Item = &'a Arc<EndpointService>> {
        self.services.values().filter(move |service| service.load_balancers.contains(load_balancer))
    }

    /// The endpoint service with this name (`com.amazonaws.vpce.…`).
    #[must_use]
    pub fn service_by_name(&self, name: &str) -> Option<&Arc<EndpointService>> {
        self.services.values().find(|service| service.name == name)
    }

    /// The endpoints of a service, whatever their state.
    pub fn endpoints_of(&self, service: ServiceId) -> impl Iterator<Item = &Arc<Endpoint>> {
        self.endpoints.values().filter(move |endpoint| endpoint.service == service)
    }

    /// The endpoint with this frontend slot.
    #[must_use]
    pub fn endpoint_by_slot(&self, slot: u32) -> Option<&Arc<Endpoint>> {
        self.endpoints.values().find(|endpoint| endpoint.slot == slot)
    }

    /// The load balancer with this frontend slot.
    #[must_use]
    pub fn load_balancer_by_slot(&self, slot: u32) -> Option<&Arc<LoadBalancer>> {
        self.load_balancers.values().find(|load_balancer| load_balancer.slot == slot)
    }

    /// The generations in use.
    pub fn generations(&self) -> impl Iterator<Item = u32> + '_ {
        let enis = self.enis.values().map(|eni| eni.generation);
        let load_balancers = self.load_balancers.values().map(|load_balancer| load_balancer.generation);
        let endpoints = self.endpoints.values().map(|endpoint| endpoint.generation);
        let targets = self.target_groups.values().flat_map(|group| group.targets.iter());
        enis.chain(load_balancers).chain(endpoints).chain(targets.map(|target| target.generation))
    }

    /// The target group and the registration with this slot in `TARGETS`.
    #[must_use]
    pub fn target_by_slot(&self, slot: u32) -> Option<(&Arc<TargetGroup>, &Target)> {
        let mut groups = self.target_groups.values();
        groups.find_map(|group| Some((group, group.targets.iter().find(|target| target.slot == slot)?)))
    }
}

/// The objects of a table that people call by this name.
pub fn named<'a, K, V: Entity>(table: &'a Table<K, V>, name: &'a str) -> impl Iterator<Item = &'a Arc<V>> {
    table.values().filter(move |entity| entity.name() == Some(name))
}
