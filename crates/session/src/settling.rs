//! Whether somebody may be writing a file at this moment.

use flowgate_net::Stamp;

/// Tells a change that is complete from one that goes on. A file that is being written is empty first, or cut short, and for
/// as long as that would be read, hosts that are exempt would be decrypted. So files count when they looked the same twice.
#[derive(Debug, Default)]
pub(crate) struct Settling(Option<Vec<Option<Stamp>>>);

impl Settling {
    /// Whether files look as they did when they were looked at the last time.
    pub(crate) fn is_settled(&mut self, looks: Vec<Option<Stamp>>) -> bool {
        let is_settled = self.0.as_ref() == Some(&looks);
        self.0 = Some(looks);
        is_settled
    }
}
