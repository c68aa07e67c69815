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

/// The list, the soonest to expire first. `now`: the last packet. `sealed`: handshakes that hide their certificates.
pub fn render(items: &[&Item], now: Stamp, sealed: u64, style: Style) -> String {
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
    if sealed > 0 {
        let who = plural(sealed, "handshake of TLS 1.3 hides its own", "handshakes of TLS 1.3 hide theirs");
        say(&format!("{who}."), Ink::Dim);
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
    let room = columns.saturating_sub(2 * NUMBER + key + 4);
    let (name, by) = (room * 3 / 5, room - room * 3 / 5);
    let heading = format!(
        "{:>NUMBER$}{:>NUMBER$}  {}  {}{}",
        "DAYS",
        "SEEN",
        pad("KEY", key),
        pad("CERTIFICATE", name),
        cut("SERVED BY", by)
    );
    let _ = writeln!(text, "\n{}", style.ink(Ink::Dim, heading.trim_end()));
    for item in items {
        row(item, now, (key, name, by, columns), style, &mut text);
    }
    text
}

fn row(
    item: &Item,
    now: Stamp,
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
            "{days}{:>NUMBER$}  {}  {}{}",
            item.handshakes,
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

    fn page(columns: usize) -> String {
        let mut inventory = Inventory::default();
        inventory.add(&fixture::expired());
        let now = fixture::expired().ended;
        render(&inventory.by_expiry(), now, 3, Style { colour: false, width: columns })
    }

    #[test]
    fn no_line_of_the_list_leaves_the_terminal() {
        for columns in 40..=160 {
            for line in page(columns).lines() {
                assert!(width(line) <= columns, "{columns}: {line}");
            }
        }
    }

    #[test]
    fn the_list_names_the_certificate_its_server_and_what_it_cannot_show() {
        let page = page(120);
        for part in ["old.example.com", "RSA 2048", "hide theirs", "2026-11-01"] {
            assert!(page.contains(part), "{part} in\n{page}");
        }
    }
}
