//! Nexthop objects and the groups made of them.

use std::collections::{BTreeMap, BTreeSet};

use crate::object::{IfIndex, NexthopBody, NexthopId, NexthopObject};

/// All nexthop objects.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    by_id: BTreeMap<NexthopId, (NexthopObject, u32)>,
    /// Single objects by interface.
    by_port: BTreeSet<(IfIndex, NexthopId)>,
    /// Groups by member: (member, group).
    groups: BTreeSet<(NexthopId, NexthopId)>,
}

impl Objects {
    /// Takes in an object; tells whether anything but the generation changed.
    pub(crate) fn set(&mut self, object: NexthopObject, generation: u32) -> bool {
        let id = object.id;
        if let Some((known, named)) = self.by_id.get_mut(&id)
            && *known == object
        {
            *named = generation;
            return false;
        }
        self.forget(id);
        match &object.body {
            NexthopBody::Single(path) => drop(self.by_port.insert((path.ifindex, id))),
            NexthopBody::Group(members) => {
                self.groups
                    .extend(members.iter().map(|member| (member.id, id)));
            }
            NexthopBody::Blackhole => {}
        }
        self.by_id.insert(id, (object, generation));
        true
    }

    fn forget(&mut self, id: NexthopId) -> Option<NexthopObject> {
        let (object, _) = self.by_id.remove(&id)?;
        match &object.body {
            NexthopBody::Single(path) => drop(self.by_port.remove(&(path.ifindex, id))),
            NexthopBody::Group(members) => {
                for member in members {
                    self.groups.remove(&(member.id, id));
                }
            }
            NexthopBody::Blackhole => {}
        }
        Some(object)
    }

    /// Deletes an object, and what goes with it: its membership in groups, and groups that lose
    /// their last member. Returns the objects that are gone and the groups that shrank.
    pub(crate) fn remove(&mut self, id: NexthopId) -> (Vec<NexthopId>, Vec<NexthopId>) {
        let (mut gone, mut shrunk) = (Vec::new(), Vec::new());
        let mut left = vec![id];
        while let Some(id) = left.pop() {
            if self.forget(id).is_none() {
                continue;
            }
            gone.push(id);
            for group in self.groups_of(id) {
                let Some((mut object, generation)) = self.by_id.get(&group).cloned() else {
                    continue;
                };
                if let NexthopBody::Group(members) = &mut object.body {
                    members.retain(|member| member.id != id);
                    if members.is_empty() {
                        left.push(group);
                    }
                }
                self.set(object, generation);
                shrunk.push(group);
            }
        }
        (gone, shrunk)
    }

    /// Groups that an object is a member of.
    pub(crate) fn groups_of(&self, id: NexthopId) -> Vec<NexthopId> {
        let all = (id, NexthopId(0))..=(id, NexthopId(u32::MAX));
        self.groups.range(all).map(|&(_, group)| group).collect()
    }

    /// Single objects over an interface.
    pub(crate) fn by_port(&self, ifindex: IfIndex) -> Vec<NexthopId> {
        let all = (ifindex, NexthopId(0))..=(ifindex, NexthopId(u32::MAX));
        self.by_port.range(all).map(|&(_, id)| id).collect()
    }

    /// An object.
    pub(crate) fn get(&self, id: NexthopId) -> Option<&NexthopObject> {
        self.by_id.get(&id).map(|(object, _)| object)
    }

    /// All of them by number.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &NexthopObject> {
        self.by_id.values().map(|(object, _)| object)
    }

    /// Those that the dump of this generation did not name.
    pub(crate) fn stale(&self, generation: u32) -> Vec<NexthopId> {
        let stale = self
            .by_id
            .values()
            .filter(|(_, named)| *named != generation);
        stale.map(|(object, _)| object.id).collect()
    }
}
