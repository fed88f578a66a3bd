//! The kernel's nexthop objects: when it takes one, and what goes with one that it loses.

use super::super::harness::REPLACE;
use super::kernel::{Kernel, NETS, path};
use crate::{Change, NexthopBody, NexthopId, NexthopMember, NexthopObject};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Object {
    Single(String, u8),
    Blackhole,
    Group(Vec<(u8, u16)>),
}

impl Kernel {
    pub(super) fn nexthop(&mut self, id: u8, target: u8) {
        let to = |port: u8| Object::Single(format!("{}.9", NETS[usize::from(port)]), port);
        let object = match target {
            0..3 => to(target),
            3 => Object::Single("fe80::9".into(), 0),
            4 => Object::Single(String::new(), 1),
            5 => Object::Blackhole,
            _ => {
                let singles = self.objects.iter().filter(|(other, object)| {
                    **other != id && matches!(object, Object::Single(..))
                });
                let members = singles
                    .map(|(&id, _)| (id, u16::from(id % 2) + 1))
                    .collect();
                Object::Group(members)
            }
        };
        let alive = match &object {
            Object::Single(_, port) => {
                let port = self.ports[usize::from(*port)];
                port.up && port.carrier
            }
            Object::Blackhole => true,
            Object::Group(members) => !members.is_empty(),
        };
        // The kernel refuses to turn a single into a group or back, and a blackhole in a group.
        let known = self.objects.get(&id);
        let is_group = |object: &Object| matches!(object, Object::Group(_));
        let member = self.objects.values().any(|other| match other {
            Object::Group(members) => members.iter().any(|&(member, _)| member == id),
            _ => false,
        });
        let refused = known.is_some_and(|known| is_group(known) != is_group(&object))
            || member && object == Object::Blackhole;
        if !alive || refused {
            return;
        }
        self.objects.insert(id, object);
        let said = self.object(id);
        self.say(Change::SetNexthop(said));
        // `nexthop_compat_mode`: every IPv4 route that uses it is said again.
        for route in self
            .ip4
            .clone()
            .iter()
            .filter(|route| route.nhid == Some(id))
        {
            self.say(route.say(REPLACE));
        }
    }

    pub(super) fn object(&self, id: u8) -> NexthopObject {
        let body = match &self.objects[&id] {
            Object::Single(gateway, port) => NexthopBody::Single(path(gateway, *port)),
            Object::Blackhole => NexthopBody::Blackhole,
            Object::Group(members) => {
                let member = |&(id, weight): &(u8, u16)| NexthopMember {
                    id: NexthopId(id.into()),
                    weight,
                };
                NexthopBody::Group(members.iter().map(member).collect())
            }
        };
        NexthopObject {
            id: NexthopId(id.into()),
            protocol: 4,
            body,
        }
    }

    pub(super) fn lose_objects_of(&mut self, port: u8) {
        let own = self.objects.iter();
        let own = own.filter(|(_, object)| matches!(object, Object::Single(_, on) if *on == port));
        let own: Vec<u8> = own.map(|(&id, _)| id).collect();
        own.into_iter().for_each(|id| self.lose_object(id));
    }

    /// An object goes; nothing is said of it here.
    pub(super) fn lose_object(&mut self, id: u8) {
        self.objects.remove(&id);
        self.ip4.retain(|route| route.nhid != Some(id));
        self.lose_object6(id);
        let mut empty = Vec::new();
        for (&group, object) in &mut self.objects {
            if let Object::Group(members) = object {
                let before = members.len();
                members.retain(|&(member, _)| member != id);
                if members.is_empty() && before > 0 {
                    empty.push(group);
                }
            }
        }
        empty.into_iter().for_each(|group| self.lose_object(group));
    }
}
