//! What a service manager is told: sd_notify(3) over the datagram socket of `NOTIFY_SOCKET`.
//!
//! The socket is connected at the start, as a confined program could open none. Without a manager all of it does nothing.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use super::output::say;
use crate::base::Span;

/// The line to the service manager.
#[derive(Debug, Default)]
pub struct Notifier {
    socket: Option<UnixDatagram>,
    watchdog: Option<Span>,
    /// The turns that were seen last.
    turns: Vec<u64>,
}

impl Notifier {
    /// As the environment says. A manager that cannot be reached is told on standard error, and done without.
    pub fn from_environment() -> Self {
        let Some(address) = std::env::var_os("NOTIFY_SOCKET") else { return Self::default() };
        let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        let mine = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|&micros| mine && micros > 0);
        let watchdog = watchdog.and_then(|micros| i64::try_from(micros).ok()).map(Span);
        match connect(&address) {
            Ok(socket) => Self { socket: Some(socket), watchdog, turns: Vec::new() },
            Err(error) => {
                say(format_args!("cannot reach the service manager at {}: {error}", address.display()));
                Self::default()
            }
        }
    }

    /// Packets are being read.
    pub fn ready(&self, status: &str) {
        self.say(&format!("READY=1\nSTATUS={}", one_line(status)));
    }

    /// The configuration is being read anew. [`Self::ready`] says that it was, or was not.
    pub fn reloading(&self) {
        self.say("RELOADING=1");
    }

    /// What is open is finished, then the program ends.
    pub fn stopping(&self) {
        self.say("STOPPING=1");
    }

    /// How often [`Self::alive`] is due: twice in the time that the manager waits. None where it does not watch.
    pub fn due(&self) -> Option<Span> {
        self.watchdog.map(|patience| Span(patience.0 / 2))
    }

    /// Says that all is alive, if every ring has turned since the last time: one that hangs must not be
    /// covered by a loop that does not.
    pub fn alive(&mut self, turns: impl IntoIterator<Item = u64>) {
        let now: Vec<u64> = turns.into_iter().collect();
        let stuck =
            now.len() == self.turns.len() && now.iter().zip(&self.turns).any(|(now, last)| now == last);
        self.turns = now;
        if !stuck && self.watchdog.is_some() {
            self.say("WATCHDOG=1");
        }
    }

    /// A manager that is gone, or slow, is no reason to fail or wait.
    fn say(&self, text: &str) {
        if let Some(socket) = &self.socket {
            drop(socket.send(text.as_bytes()));
        }
    }
}

/// A path, or a name of Linux's abstract space behind `@`.
fn connect(address: &OsStr) -> io::Result<UnixDatagram> {
    let address = match address.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        path => SocketAddr::from_pathname(OsStr::from_bytes(path))?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// A line break would begin another message.
fn one_line(text: &str) -> String {
    text.replace('\n', "; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line to a manager, and what the manager hears.
    fn line(watchdog: Option<Span>) -> (Notifier, UnixDatagram) {
        let (here, there) = UnixDatagram::pair().unwrap();
        there.set_nonblocking(true).unwrap();
        (Notifier { socket: Some(here), watchdog, turns: Vec::new() }, there)
    }

    fn heard(manager: &UnixDatagram) -> Option<String> {
        let mut buffer = [0; 256];
        let length = manager.recv(&mut buffer).ok()?;
        Some(String::from_utf8(buffer[..length].to_vec()).unwrap())
    }

    #[test]
    fn states_are_told_as_sd_notify_names_them() {
        let (notifier, manager) = line(None);
        notifier.ready("on eth0\nand lo");
        assert_eq!(heard(&manager).unwrap(), "READY=1\nSTATUS=on eth0; and lo");
        notifier.reloading();
        notifier.stopping();
        assert_eq!([heard(&manager), heard(&manager)].map(Option::unwrap), ["RELOADING=1", "STOPPING=1"]);
    }

    #[test]
    fn the_watchdog_hears_nothing_while_one_ring_stands_still() {
        let (mut notifier, manager) = line(Some(Span::from_secs(30)));
        assert_eq!(notifier.due(), Some(Span::from_secs(15)));
        for (turns, alive) in [([1, 1], true), ([2, 2], true), ([3, 2], false), ([4, 3], true)] {
            notifier.alive(turns);
            assert_eq!(heard(&manager).is_some(), alive, "{turns:?}");
        }
    }

    #[test]
    fn without_a_watchdog_nothing_is_due_and_without_a_manager_nothing_is_said() {
        let (mut notifier, manager) = line(None);
        notifier.alive([1]);
        assert_eq!((notifier.due(), heard(&manager)), (None, None));
        Notifier::default().ready("well");
    }

    #[test]
    fn both_kinds_of_address_are_reached() {
        let name = format!("tlswhy-notify-{}", std::process::id());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("manager");
        let by_path = UnixDatagram::bind(&path).unwrap();
        let by_name = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        for (address, manager) in
            [(path.clone().into_os_string(), by_path), (format!("@{name}").into(), by_name)]
        {
            let notifier = Notifier { socket: Some(connect(&address).unwrap()), ..Notifier::default() };
            notifier.stopping();
            assert_eq!(heard(&manager).unwrap(), "STOPPING=1");
        }
        assert!(connect(OsStr::new("/no-such/socket")).is_err());
    }
}
