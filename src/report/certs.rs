//! The list of certificates, for people.

use super::style::{Ink, Style, clean, cut, pad, plural, thousands, width, wrap};
use crate::base::Stamp;
use crate::event::{Item, Role, shown};
use crate::tls::idn;
use std::fmt::Write as _;

/// Days before the end at which a certificate is worth a look.
const SOON: i64 = 30;
/// Columns of days left and handshakes.
const NUMBER: usize = 7;

/// Handshakes whose certificates TLS 1.3 hides.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sealed {
    /// All.
    pub hidden: u64,
    /// Those that were counted with certificates by the size of a record.
    pub by_size: u64,
}

/// The list, the soonest to expire first. `now`: the last packet.
pub fn render(items: &[&Item], now: Stamp, sealed: Sealed, style: Style) -> String {
    let mut text = String::new();
    let columns = style.columns();
    let own = items.iter().filter(|item| item.role != Role::Issuer).count();
    let defective = items.iter().filter(|item| !item.defects.is_empty()).count();
    // Writing into a String cannot fail.
    let title = format!(
        "{}, {} of servers and clients, {} with defects",
        plural(items.len() as u64, "certificate", "certificates"),
        thousands(own as u64),
        thousands(defective as u64)
    );
    let mut say = |says: &str, ink: Ink| {
        for line in wrap(says, columns) {
            let _ = writeln!(text, "{}", style.ink(ink, line));
        }
    };
    say(&title, Ink::Bold);
    if sealed.hidden > 0 {
        let who =
            plural(sealed.hidden, "handshake of TLS 1.3 hides its own", "handshakes of TLS 1.3 hide theirs");
        let by_size = match sealed.by_size {
            0 => String::new(),
            some => format!(
                ", {} of them in a record of just the size of certificates below: SEALED, which is likely, not seen",
                thousands(some)
            ),
        };
        say(&format!("{who}{by_size}."), Ink::Dim);
    }
    if items.is_empty() {
        return text;
    }
    let key = items
        .iter()
        .map(|item| width(&item.certificate.key.kind.to_string()))
        .max()
        .unwrap_or(0)
        .clamp(3, 14);
    let by_size = sealed.by_size > 0;
    let numbers = if by_size { 3 } else { 2 } * NUMBER;
    let room = columns.saturating_sub(numbers + key + 4);
    let (name, by) = (room * 3 / 5, room - room * 3 / 5);
    let heading = format!(
        "{:>NUMBER$}{:>NUMBER$}{}  {}  {}{}",
        "DAYS",
        "SEEN",
        if by_size { format!("{:>NUMBER$}", "SEALED") } else { String::new() },
        pad("KEY", key),
        pad("CERTIFICATE", name),
        cut("SERVED BY", by)
    );
    let _ = writeln!(text, "\n{}", style.ink(Ink::Dim, heading.trim_end()));
    for item in items {
        row(item, now, by_size, (key, name, by, columns), style, &mut text);
    }
    text
}

fn row(
    item: &Item,
    now: Stamp,
    by_size: bool,
    (key, name, by, columns): (usize, usize, usize, usize),
    style: Style,
    text: &mut String,
) {
    let cert = &item.certificate;
    let left = item.days_left(now);
    let ink = match left {
        ..0 => Some(Ink::Red),
        0..SOON => Some(Ink::Yellow),
        _ => None,
    };
    let days = format!("{left:>NUMBER$}");
    let days = ink.map_or_else(|| days.clone(), |ink| style.ink(ink, &days));
    let served = item.served.keys().next().map(|(by, sni)| match sni {
        Some(sni) => format!("{} {}", shown(*by), idn::for_people(sni)),
        None => shown(*by),
    });
    let more = item.served.len() as u64 + item.served_by_more;
    let more = if more > 1 { format!(" and {} more", more - 1) } else { String::new() };
    let who = match item.role {
        Role::Issuer => String::new(),
        _ => format!("{}{more}", served.unwrap_or_default()),
    };
    let _ = writeln!(
        text,
        "{}",
        format!(
            "{days}{:>NUMBER$}{}  {}  {}{}",
            item.handshakes,
            if by_size { format!("{:>NUMBER$}", item.sealed) } else { String::new() },
            pad(&cut(&cert.key.kind.to_string(), key), key),
            pad(&cut(&clean(&cert.called()), name.saturating_sub(2)), name),
            cut(&clean(&who), by)
        )
        .trim_end()
    );
    let indent = 2 * NUMBER + 2;
    let mut detail = |says: &str, ink: Ink| {
        for line in wrap(&clean(says), columns.saturating_sub(indent)) {
            let _ = writeln!(text, "{:indent$}{}", "", style.ink(ink, line));
        }
    };
    let names: Vec<String> = cert
        .alt_names
        .iter()
        .flat_map(|names| names.hosts())
        .map(|name| idn::for_people(&name).into_owned())
        .collect();
    let role = if item.role == Role::Client { "of a client, " } else { "" };
    let mut about =
        format!("{role}{} to {}, issued by {}", cert.not_before.date(), cert.not_after.date(), cert.issuer);
    if !names.is_empty() {
        let _ = write!(about, ", for {}", crate::tls::names::few(&names));
    }
    detail(&about, Ink::Dim);
    for (_, (cause, reason, says)) in &item.defects {
        detail(&format!("{} / {reason}: {says}", cause.word()), Ink::Yellow);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Inventory, fixture};

    fn page(columns: usize, by_size: u64) -> String {
        let mut inventory = Inventory::default();
        inventory.add(&fixture::expired());
        let now = fixture::expired().ended;
        let sealed = Sealed { hidden: 3, by_size };
        if by_size > 0 {
            inventory.add(&fixture::sealed_like(fixture::sealed_alert(), &fixture::expired()));
        }
        render(&inventory.by_expiry(), now, sealed, Style { colour: false, width: columns })
    }

    #[test]
    fn no_line_of_the_list_leaves_the_terminal() {
        for columns in 40..=160 {
            for line in [0, 1].map(|by_size| page(columns, by_size)).iter().flat_map(|page| page.lines()) {
                assert!(width(line) <= columns, "{columns}: {line}");
            }
        }
    }

    #[test]
    fn the_list_names_the_certificate_its_server_and_what_it_cannot_show() {
        let page = page(120, 0);
        for part in ["old.example.com", "RSA 2048", "hide theirs", "2026-11-01"] {
            assert!(page.contains(part), "{part} in\n{page}");
        }
        assert!(!page.contains("SEALED"), "a column of nothing:\n{page}");
    }

    #[test]
    fn handshakes_counted_by_size_have_a_column_of_their_own_and_are_called_likely() {
        let page = page(120, 1);
        assert!(page.contains("1 of them in a record of just the size"), "{page}");
        let row = page.lines().find(|line| line.contains("old.example.com")).unwrap();
        let numbers: Vec<_> = row.split_whitespace().take(3).collect();
        assert_eq!(numbers[1..], ["1", "1"], "{page}");
    }
}
