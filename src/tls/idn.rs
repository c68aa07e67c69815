//! Host names in Unicode: the A-labels by which they are compared, and Unicode beside A-labels for people.
//!
//! On the wire a name is in A-labels (`xn--…`) only: in SNI by RFC 6066 section 3, in certificates by RFC 5280 section 7.2.
//! Some send U-labels in UTF-8 all the same.

use idna::AsciiDenyList;
use idna::uts46::{DnsLength, Hyphens, Uts46};
use std::borrow::Cow;

/// Octets of the longest name that is looked at: DNS has 253, and UTF-8 takes less room than A-labels do.
const LONGEST: usize = 255;

/// A name in Unicode as its A-labels (UTS #46, not transitional), a wildcard in front kept. `None`: it is in ASCII already,
/// or stands for no name.
pub fn a_labels(name: &str) -> Option<String> {
    if name.is_ascii() || name.len() > LONGEST {
        return None;
    }
    let (front, bare) = wildcard(name);
    let ascii = ascii(bare)?;
    Some(format!("{front}{ascii}"))
}

/// The name, and where it has A-labels that are safe to show as Unicode, their Unicode in parentheses.
pub fn for_people(name: &str) -> Cow<'_, str> {
    match unicode(name) {
        Some(unicode) => Cow::Owned(format!("{name} ({unicode})")),
        None => Cow::Borrowed(name),
    }
}

/// A name in A-labels as Unicode, where every label is what it looks like. `None`: there is no A-label, one is not sound
/// (RFC 5891 section 5.4: it must come back from its Unicode), or what it looks like could mislead.
fn unicode(name: &str) -> Option<String> {
    let marked = |label: &str| label.get(..4).is_some_and(|mark| mark.eq_ignore_ascii_case("xn--"));
    if name.len() > LONGEST || !name.split('.').any(marked) {
        return None;
    }
    let (front, bare) = wildcard(name);
    let (text, sound) = Uts46::new().to_unicode(bare.as_bytes(), AsciiDenyList::URL, Hyphens::CheckFirstLast);
    sound.ok()?;
    let plain = text.split('.').all(is_plain) && ascii(&text)?.eq_ignore_ascii_case(bare);
    plain.then(|| format!("{front}{text}"))
}

fn ascii(name: &str) -> Option<String> {
    let ascii = Uts46::new().to_ascii(name.as_bytes(), AsciiDenyList::URL, Hyphens::Allow, DnsLength::Ignore);
    ascii.ok().map(Cow::into_owned)
}

fn wildcard(name: &str) -> (&'static str, &str) {
    name.strip_prefix("*.").map_or(("", name), |bare| ("*.", bare))
}

/// Scripts of which labels are shown, all written from left to right without marks that move.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Script {
    /// Digits and the hyphen, which go with each.
    Common,
    Latin,
    Greek,
    Cyrillic,
    Japanese,
    Hangul,
}

/// A label of one script (UTS #39 section 5.1) and without letters that are there to be taken for others: of Greek and
/// Cyrillic one letter at least looks like no Latin one. Han goes with Kana, never with Latin.
fn is_plain(label: &str) -> bool {
    let mut only = Script::Common;
    let mut unlike_latin = false;
    for letter in label.chars() {
        match script(letter) {
            Some(Script::Common) => {}
            Some(one) if only == Script::Common || only == one => only = one,
            _ => return false,
        }
        unlike_latin |= "бджзилфцчшщыэюя".contains(letter) || "βγδζθλξπσφψω".contains(letter);
    }
    !matches!(only, Script::Greek | Script::Cyrillic) || unlike_latin
}

/// The script of a letter of names in use; `None` for all other characters.
fn script(letter: char) -> Option<Script> {
    Some(match letter {
        '0'..='9' | '-' => Script::Common,
        // Dotless i and kra look like i and k.
        'ı' | 'ĸ' | 'ŉ' | 'ſ' | '÷' => return None,
        'a'..='z' | 'ß'..='ž' | 'ơ' | 'ư' | 'ș' | 'ț' | 'ạ'..='ỹ' => Script::Latin,
        'ΐ' | 'ά'..='ώ' => Script::Greek,
        'а'..='џ' | 'ґ' => Script::Cyrillic,
        '々' | '〇' | 'ぁ'..='ゖ' | 'ゝ' | 'ゞ' | 'ァ'..='ヺ' | 'ー'..='ヾ' => Script::Japanese,
        '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' => Script::Japanese,
        '\u{ac00}'..='\u{d7a3}' => Script::Hangul,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unicode_is_spelled_in_a_labels() {
        for (name, want) in [
            ("bücher.example", "xn--bcher-kva.example"),
            ("BÜCHER.example", "xn--bcher-kva.example"),
            ("bu\u{308}cher.example", "xn--bcher-kva.example"),
            ("*.bücher.example", "*.xn--bcher-kva.example"),
            ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
            ("faß.example", "xn--fa-hia.example"),
        ] {
            assert_eq!(a_labels(name).as_deref(), Some(want), "{name}");
        }
    }

    #[test]
    fn what_is_ascii_or_no_name_is_left_alone() {
        let long = "ü".repeat(200);
        for name in ["example.com", "xn--bcher-kva.example", "", "a\u{fffd}.example", "ü b.example", &long] {
            assert_eq!(a_labels(name), None, "{name}");
        }
    }

    #[test]
    fn people_see_the_unicode_of_a_plain_name_beside_it() {
        for (name, want) in [
            ("xn--bcher-kva.example", "xn--bcher-kva.example (bücher.example)"),
            ("*.xn--bcher-kva.example", "*.xn--bcher-kva.example (*.bücher.example)"),
            ("XN--bcher-kva.example", "XN--bcher-kva.example (bücher.example)"),
            ("xn--r8jz45g.xn--zckzah", "xn--r8jz45g.xn--zckzah (例え.テスト)"),
            ("xn--e1afmkfd.xn--p1ai", "xn--e1afmkfd.xn--p1ai (пример.рф)"),
            ("xn--fsq.com", "xn--fsq.com (例.com)"),
        ] {
            assert_eq!(for_people(name), want);
        }
    }

    #[test]
    fn names_that_could_mislead_stay_a_labels() {
        let spelled = |name: &str| ascii(name).unwrap();
        for (name, why) in [
            (spelled("аррӏе.com"), "Cyrillic that looks like apple"),
            (spelled("аре.com"), "Cyrillic that looks like ape"),
            (spelled("gооgle.com"), "Latin with Cyrillic"),
            (spelled("עברית.example"), "from right to left"),
            (spelled("例a.example"), "Han with Latin"),
            (spelled("ıd.example"), "a dotless i"),
            (spelled("हिन्दी.example"), "marks"),
            ("xn--a.example".to_owned(), "no Punycode"),
            ("xn--bcher-kvb\u{7f}.example".to_owned(), "a control character"),
            ("xn--abc-.example".to_owned(), "ASCII in disguise"),
            ("example.com".to_owned(), "ASCII"),
        ] {
            assert_eq!(for_people(&name), name, "{why}");
        }
    }
}
