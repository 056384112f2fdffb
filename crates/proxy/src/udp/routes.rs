//! To which conversation a datagram belongs. A table, without sockets and time.
//!
//! A client's address says it, as long as it has one conversation. QUIC clients may have several connections on one socket,
//! and may come back with another address (a NAT that forgot them, another network): connection IDs tell those. Known are
//! the ID that a client makes up for its first packets, and those that the server names in long headers on their way back.
//! IDs that are agreed on later are encrypted; a client that moves on purpose uses one of them, and begins a conversation
//! of which nothing is known.
//!
//! A datagram from another address never takes over a conversation, it begins one that is handled alike: so who overhears an
//! ID gets no answers with it, and it is the server that finds out whether the new address is right (RFC 9000 §9).

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;

use flowgate_wire::quic::{ConnectionId, LongHeader, PacketKind};
use tokio::sync::mpsc;

use super::conversation::Conversation;
use crate::limits::UDP_CONNECTION_IDS_MAX;

/// A conversation's number, never used twice.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Id(u64);

/// What conversations tell the table.
pub(super) enum Note {
    /// Its server wants to be called so.
    ServerId(Id, ConnectionId),
    /// It ended.
    Ended(Id),
}

/// Tells the end of a conversation when dropped, however it came about.
pub(super) struct Ending {
    pub(super) notes: mpsc::UnboundedSender<Note>,
    pub(super) id: Id,
}

impl Ending {
    pub(super) fn server_is_called(&self, id: ConnectionId) {
        // Nobody listens any more when all ends.
        let _ = self.notes.send(Note::ServerId(self.id, id));
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let _ = self.notes.send(Note::Ended(self.id));
    }
}

/// Where a datagram goes.
pub(super) enum Route<'a> {
    /// To this conversation.
    Known(&'a Conversation),
    /// It begins one, which goes on with another if that had the same connection ID.
    New {
        /// The other one.
        like: Option<&'a Conversation>,
    },
}

/// All conversations of a socket.
#[derive(Default)]
pub(super) struct Routes {
    entries: HashMap<Id, Entry>,
    /// The conversations of each client; the last is the youngest.
    clients: HashMap<SocketAddr, Vec<Id>>,
    ids: HashMap<ConnectionId, Id>,
    /// How long the IDs are.
    lengths: HashSet<usize>,
    next: u64,
}

struct Entry {
    client: SocketAddr,
    conversation: Arc<Conversation>,
    /// Those that lead here; none if it is not QUIC.
    ids: Vec<ConnectionId>,
}

impl Routes {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Where a datagram goes.
    pub(super) fn find(&self, client: SocketAddr, datagram: &[u8]) -> Route<'_> {
        let own = self.clients.get(&client).map_or(&[][..], Vec::as_slice);
        match own {
            [] => {
                let named = self.named(datagram).and_then(|id| self.entries.get(&id));
                Route::New { like: named.map(|entry| &*entry.conversation) }
            }
            // Nearly always: only another connection's beginning would be told apart.
            [only] if !may_begin_connection(datagram) => self.known(*only),
            [.., youngest] => {
                let named = self.named(datagram).filter(|id| own.contains(id));
                let is_quic = self.entries.get(youngest).is_some_and(|entry| !entry.ids.is_empty());
                match named {
                    Some(id) => self.known(id),
                    // What is not QUIC stays one conversation, whatever its datagrams look like.
                    None if is_quic && beginning(datagram).is_some() => Route::New { like: None },
                    None => self.known(*youngest),
                }
            }
        }
    }

    fn known(&self, id: Id) -> Route<'_> {
        match self.entries.get(&id) {
            Some(entry) => Route::Known(&entry.conversation),
            None => Route::New { like: None },
        }
    }

    /// The conversation that the datagram's connection ID names.
    fn named(&self, datagram: &[u8]) -> Option<Id> {
        if let Some(header) = LongHeader::read(datagram) {
            return self.ids.get(&header.destination).copied();
        }
        // A short header does not tell how long the ID is.
        let ids = self.lengths.iter().filter_map(|length| ConnectionId::new(datagram.get(1..=*length)?));
        ids.filter(|id| id.is_destination_of(datagram)).find_map(|id| self.ids.get(&id).copied())
    }

    /// Adds the conversation that a datagram begins. It replaces one of the same client that has ended.
    pub(super) fn add(&mut self, client: SocketAddr, datagram: &[u8], conversation: Arc<Conversation>) -> Id {
        let id = Id(self.next);
        self.next += 1;
        self.entries.insert(id, Entry { client, conversation, ids: Vec::new() });
        self.clients.entry(client).or_default().push(id);
        if let Some(destination) = beginning(datagram) {
            self.name(id, destination);
        }
        id
    }

    pub(super) fn note(&mut self, note: Note) {
        match note {
            Note::ServerId(id, name) => self.name(id, name),
            Note::Ended(id) => self.remove(id),
        }
    }

    /// `name` leads to the conversation, unless it leads to another.
    fn name(&mut self, id: Id, name: ConnectionId) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let is_free = !name.as_bytes().is_empty() && !self.ids.contains_key(&name);
        if is_free && entry.ids.len() < UDP_CONNECTION_IDS_MAX {
            entry.ids.push(name);
            self.ids.insert(name, id);
            self.lengths.insert(name.as_bytes().len());
        }
    }

    fn remove(&mut self, id: Id) {
        let Some(entry) = self.entries.remove(&id) else { return };
        for name in entry.ids {
            self.ids.remove(&name);
        }
        if let Some(own) = self.clients.get_mut(&entry.client) {
            own.retain(|other| *other != id);
            if own.is_empty() {
                self.clients.remove(&entry.client);
            }
        }
    }
}

/// A glance that tells most datagrams from the beginning of a QUIC connection.
fn may_begin_connection(datagram: &[u8]) -> bool {
    datagram.first().is_some_and(|first| first & 0x80 != 0)
}

/// The ID that a client made up, if the datagram looks like the beginning of a connection.
fn beginning(datagram: &[u8]) -> Option<ConnectionId> {
    let header = LongHeader::read(datagram)?;
    (header.kind == PacketKind::Initial).then_some(header.destination)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    fn initial(destination: &[u8]) -> Vec<u8> {
        long(0xc0, destination)
    }

    fn long(first: u8, destination: &[u8]) -> Vec<u8> {
        let len = u8::try_from(destination.len()).unwrap();
        [&[first, 0, 0, 0, 1, len][..], destination, &[0, 0, 0, 0]].concat()
    }

    fn short(destination: &[u8]) -> Vec<u8> {
        [&[0x41][..], destination, b"rest"].concat()
    }

    fn id(bytes: &[u8]) -> ConnectionId {
        ConnectionId::new(bytes).unwrap()
    }

    /// A table, and by which pointer its conversations are known.
    #[derive(Default)]
    struct Table(Routes, Vec<(Id, Arc<Conversation>)>);

    impl Table {
        fn add(&mut self, from: SocketAddr, datagram: &[u8]) -> usize {
            let conversation = Arc::new(Conversation::new().0);
            let id = self.0.add(from, datagram, Arc::clone(&conversation));
            self.1.push((id, conversation));
            self.1.len() - 1
        }

        fn number(&self, conversation: &Conversation) -> usize {
            self.1.iter().position(|(_, known)| std::ptr::eq(&raw const **known, conversation)).unwrap()
        }

        /// `known 0`, `new`, `new like 0`.
        fn find(&self, from: SocketAddr, datagram: &[u8]) -> String {
            match self.0.find(from, datagram) {
                Route::Known(conversation) => format!("known {}", self.number(conversation)),
                Route::New { like: Some(conversation) } => format!("new like {}", self.number(conversation)),
                Route::New { like: None } => "new".to_owned(),
            }
        }

        fn end(&mut self, number: usize) {
            self.0.note(Note::Ended(self.1[number].0));
        }
    }

    #[test]
    fn the_address_tells_clients_apart() {
        let mut table = Table::default();
        assert_eq!(table.find(client(1), b"ping"), "new");
        table.add(client(1), b"ping");
        table.add(client(2), b"ping");
        assert_eq!(table.find(client(1), b"ping"), "known 0");
        assert_eq!(table.find(client(2), b""), "known 1");
        // Not QUIC: stays one, whatever it looks like later.
        assert_eq!(table.find(client(1), &initial(b"12345678")), "known 0");
        table.end(0);
        assert_eq!(table.find(client(1), b"ping"), "new");
        assert_eq!(table.find(client(2), b"ping"), "known 1");
    }

    #[test]
    fn connections_on_one_socket_are_told_apart_by_their_ids() {
        let mut table = Table::default();
        table.add(client(1), &initial(b"first id"));
        assert_eq!(table.find(client(1), &initial(b"first id")), "known 0");
        assert_eq!(table.find(client(1), &initial(b"other id")), "new");
        table.add(client(1), &initial(b"other id"));
        table.0.note(Note::ServerId(table.1[0].0, id(b"srv0")));
        table.0.note(Note::ServerId(table.1[1].0, id(b"server 1")));
        for (datagram, route) in [
            (initial(b"srv0"), "known 0"),
            (long(0xe0, b"server 1"), "known 1"),
            (short(b"srv0"), "known 0"),
            (short(b"server 1"), "known 1"),
            // An ID that was agreed on in secret: the youngest is the best guess.
            (short(b"unknown!"), "known 1"),
            (long(0xd0, b"unknown!"), "known 1"),
        ] {
            assert_eq!(table.find(client(1), &datagram), route, "{datagram:02x?}");
        }
    }

    #[test]
    fn a_connection_that_comes_from_elsewhere_goes_on_alike() {
        let mut table = Table::default();
        table.add(client(1), &initial(b"first id"));
        table.0.note(Note::ServerId(table.1[0].0, id(b"srv0")));
        assert_eq!(table.find(client(2), &short(b"srv0")), "new like 0");
        assert_eq!(table.find(client(2), &initial(b"first id")), "new like 0");
        assert_eq!(table.find(client(2), &short(b"srv9")), "new");
        // The conversation that had the address keeps it.
        assert_eq!(table.find(client(1), &short(b"srv0")), "known 0");
        table.end(0);
        assert_eq!(table.find(client(2), &short(b"srv0")), "new");
    }

    #[test]
    fn ids_are_bounded_and_none_is_taken_away() {
        let mut table = Table::default();
        table.add(client(1), &initial(b"first id"));
        table.add(client(2), &initial(b"other id"));
        let (first, second) = (table.1[0].0, table.1[1].0);
        table.0.note(Note::ServerId(second, id(b"first id")));
        table.0.note(Note::ServerId(second, id(b"")));
        assert_eq!(table.find(client(3), &short(b"first id")), "new like 0");
        for number in 0..=u8::try_from(UDP_CONNECTION_IDS_MAX).unwrap() {
            table.0.note(Note::ServerId(first, id(&[number; 8])));
        }
        assert_eq!(table.0.entries[&first].ids.len(), UDP_CONNECTION_IDS_MAX);
        table.end(0);
        table.end(1);
        assert_eq!((table.0.len(), table.0.ids.len(), table.0.clients.len()), (0, 0, 0));
    }
}
