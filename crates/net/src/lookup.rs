//! How names become addresses: by what is known of them, by name servers of the user's choice, or by the system.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use flowgate_flow::Address;

use crate::known_names::KnownNames;
use crate::resolver::Resolver;

/// Who is asked for the addresses of a name.
#[derive(Clone, Debug, Default)]
pub struct Lookup {
    /// Names that nobody is asked for.
    pub known: KnownNames,
    /// Who is asked for the others; `None` for the system.
    pub resolver: Option<Arc<Resolver>>,
}

impl Lookup {
    /// The addresses to connect to, in the order in which they are to be tried.
    pub(crate) async fn addresses_of(&self, to: &Address) -> io::Result<Vec<IpAddr>> {
        if let Some(addresses) = self.known.addresses_of(to) {
            return Ok(addresses.to_vec());
        }
        if let Some(resolver) = &self.resolver {
            // Boxed: who leaves look-ups to the system does not carry it along.
            return Box::pin(resolver.addresses_of(&to.host)).await.map_err(io::Error::other);
        }
        let found = tokio::net::lookup_host((to.host.as_str(), to.port)).await?;
        Ok(found.map(|at| at.ip()).collect())
    }
}
