//! BPF expressions (pcap-filter(7)) over frames of any link type.

use std::fmt;

use pcap::{BpfProgram, Capture, Linktype};

use crate::decode::{Frame, LinkType};

/// Link types that one filter serves; frames of further ones do not match.
const LINKS: usize = 256;

/// An expression, compiled for each link type as it appears.
pub struct Filter {
    expression: String,
    programs: Vec<(LinkType, Result<BpfProgram, String>)>,
}

/// An expression that compiles for no link type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterError {
    /// As given.
    pub expression: String,
    /// What libpcap says.
    pub why: String,
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { expression, why } = self;
        write!(f, "cannot compile the filter '{expression}': {why} (pcap-filter(7) describes the language)")
    }
}

impl std::error::Error for FilterError {}

impl Filter {
    /// Compiles an expression.
    ///
    /// # Errors
    /// It is no expression, or one that fits neither Ethernet nor bare IP nor Linux's "any" device.
    pub fn new(expression: &str) -> Result<Self, FilterError> {
        let mut filter = Self { expression: expression.to_owned(), programs: Vec::new() };
        let mut first = None;
        for link in [LinkType::ETHERNET, LinkType::RAW, LinkType::LINUX_SLL] {
            match compile(link, expression) {
                Ok(program) => {
                    filter.programs.push((link, Ok(program)));
                    return Ok(filter);
                }
                Err(why) => {
                    first.get_or_insert(why);
                }
            }
        }
        Err(FilterError { expression: filter.expression, why: first.unwrap_or_default() })
    }

    /// Whether a frame matches. `len` in the expression is the captured length. Frames of a link
    /// type that the expression cannot speak of do not match: see [`Self::refused`].
    pub fn matches(&mut self, frame: &Frame<'_>) -> bool {
        let known = self.programs.iter().position(|(link, _)| *link == frame.link);
        let place = match known {
            Some(place) => place,
            None if self.programs.len() < LINKS => {
                self.programs.push((frame.link, compile(frame.link, &self.expression)));
                self.programs.len() - 1
            }
            None => return false,
        };
        matches!(self.programs.get(place), Some((_, Ok(program))) if program.filter(frame.data))
    }

    /// The link types met whose frames cannot be judged, and why: worth one warning each.
    pub fn refused(&self) -> impl Iterator<Item = (LinkType, &str)> {
        self.programs.iter().filter_map(|(link, program)| Some((*link, program.as_ref().err()?.as_str())))
    }
}

pub(super) fn compile(link: LinkType, expression: &str) -> Result<BpfProgram, String> {
    Capture::dead(Linktype(dlt(link)))
        .and_then(|dead| dead.compile(expression, true))
        .map_err(|error| said(&error))
}

/// libpcap's own words, without the crate's.
pub(super) fn said(error: &pcap::Error) -> String {
    match error {
        pcap::Error::PcapError(text) => text.clone(),
        pcap::Error::InvalidInputString => "it contains a zero byte".into(),
        other => other.to_string(),
    }
}

/// Platform numbers (`DLT_*`) and file numbers (`LINKTYPE_*`) are the same but for these, on Linux
/// and the BSDs but OpenBSD.
const DIFFERENT: [(u16, i32); 1] = [(LinkType::RAW.0, 12)];

/// What libpcap calls a link type inside.
fn dlt(link: LinkType) -> i32 {
    DIFFERENT.iter().find(|(file, _)| *file == link.0).map_or(i32::from(link.0), |(_, dlt)| *dlt)
}

/// What files call a link type of libpcap.
pub(super) fn link_type(dlt: Linktype) -> Option<LinkType> {
    match DIFFERENT.iter().find(|(_, inside)| *inside == dlt.0) {
        Some((file, _)) => Some(LinkType(*file)),
        None => u16::try_from(dlt.0).ok().map(LinkType),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{PacketNo, Stamp};

    /// An IPv4 TCP segment to port 443, bare.
    const IP: [u8; 40] = [
        0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, // IPv4
        0x9c, 0x40, 0x01, 0xbb, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 2, 0, 0, 0, 0, 0, 0, // TCP
    ];

    fn frame(link: LinkType, data: &[u8]) -> Frame<'_> {
        Frame { no: PacketNo(1), stamp: Stamp(0), link, data, wire_len: 40 }
    }

    fn ethernet() -> Vec<u8> {
        [&[0; 12][..], &[0x08, 0x00], &IP].concat()
    }

    #[test]
    fn one_expression_serves_several_link_types() {
        let mut https = Filter::new("tcp port 443").unwrap();
        let mut http = Filter::new("tcp port 80").unwrap();
        for (link, data) in [
            (LinkType::ETHERNET, ethernet()),
            (LinkType::RAW, IP.to_vec()),
            (LinkType::IPV4, IP.to_vec()),
            (LinkType::NULL, [&2_u32.to_ne_bytes()[..], &IP].concat()),
        ] {
            assert!(https.matches(&frame(link, &data)), "{link:?}");
            assert!(!http.matches(&frame(link, &data)), "{link:?}");
        }
        assert_eq!(https.refused().count(), 0);
    }

    #[test]
    fn frames_without_bytes_do_not_match() {
        assert!(!Filter::new("tcp port 443").unwrap().matches(&frame(LinkType::ETHERNET, &[])));
    }

    #[test]
    fn an_expression_that_fits_only_some_link_types_says_which_not() {
        let mut filter = Filter::new("ether host 00:00:00:00:00:00").unwrap();
        assert!(filter.matches(&frame(LinkType::ETHERNET, &ethernet())));
        assert!(!filter.matches(&frame(LinkType::RAW, &IP)));
        assert_eq!(filter.refused().map(|(link, _)| link).collect::<Vec<_>>(), [LinkType::RAW]);
    }

    #[test]
    fn a_bad_expression_is_refused_in_libpcaps_words() {
        let error = Filter::new("tcp prot 443").err().unwrap().to_string();
        assert!(error.starts_with("cannot compile the filter 'tcp prot 443': "), "{error}");
        assert!(error.contains("syntax error"), "{error}");
        assert!(error.ends_with(" (pcap-filter(7) describes the language)"), "{error}");
        assert!(Filter::new("a\0b").is_err());
    }

    #[test]
    fn link_types_survive_the_way_to_libpcap_and_back() {
        for link in [0, 1, 101, 108, 113, 228, 229, 276].map(LinkType) {
            assert_eq!(link_type(Linktype(dlt(link))), Some(link));
        }
        assert_eq!(link_type(Linktype(-1)), None);
    }
}
