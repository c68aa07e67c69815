//! The keys that a server publishes for Encrypted ClientHello (RFC 9849 section 4), as in SvcParam `ech` (RFC 9848).

use super::records::Reader;

/// A key that a client may have used.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EchKey {
    /// `config_id`: its number, of the server's choice.
    pub id: u8,
    /// `public_name`: what stands in clear instead of the name meant; lower case.
    pub public_name: String,
}

/// Keys kept of a record: a server has one, or two while it changes them.
const MOST: usize = 4;
/// The version that is RFC 9849's.
const VERSION: u16 = 0xfe0d;

/// Reads an ECHConfigList. Keys of other versions are passed over; what is cut is left out.
pub(super) fn keys(list: &[u8]) -> Vec<EchKey> {
    let mut reader = Reader::new(list, 2); // behind the list's length
    let mut found = Vec::new();
    while let (Some(version), Some(len)) = (reader.u16(), reader.u16())
        && let Some(contents) = reader.take(len.into())
    {
        if version == VERSION
            && found.len() < MOST
            && let Some(key) = key(contents)
        {
            found.push(key);
        }
    }
    found
}

/// One ECHConfigContents.
fn key(contents: &[u8]) -> Option<EchKey> {
    let mut reader = Reader::new(contents, 0);
    let id = reader.take(1)?.first().copied()?;
    reader.u16()?; // kem_id
    let public_key = reader.u16()?;
    reader.take(public_key.into())?;
    let suites = reader.u16()?;
    reader.take(suites.into())?;
    reader.take(1)?; // maximum_name_length
    let len = reader.take(1)?.first().copied()?;
    let name = reader.take(len.into())?;
    let public_name = String::from_utf8(name.to_vec()).ok()?.to_ascii_lowercase();
    Some(EchKey { id, public_name })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ECHConfig.
    fn config(version: u16, id: u8, name: &str) -> Vec<u8> {
        let mut contents = vec![id, 0, 0x20, 0, 4, 1, 2, 3, 4, 0, 4, 0, 1, 0, 1, 32, name.len() as u8];
        contents.extend(name.as_bytes());
        contents.extend([0, 0]);
        let mut config = version.to_be_bytes().to_vec();
        config.extend((contents.len() as u16).to_be_bytes());
        config.extend(contents);
        config
    }

    fn list(configs: &[Vec<u8>]) -> Vec<u8> {
        let all = configs.concat();
        [&(all.len() as u16).to_be_bytes()[..], &all].concat()
    }

    #[test]
    fn keys_are_read_by_number_and_public_name() {
        let list = list(&[
            config(0xfe0a, 1, "old.test"),
            config(VERSION, 7, "Front.Test"),
            config(VERSION, 8, "b.test"),
        ]);
        let found: Vec<_> = keys(&list).into_iter().map(|key| (key.id, key.public_name)).collect();
        assert_eq!(found, [(7, "front.test".to_owned()), (8, "b.test".to_owned())]);
    }

    #[test]
    fn every_cut_gives_fewer_keys_and_no_panic() {
        let list = list(&[config(VERSION, 7, "front.test")]);
        for end in 0..list.len() {
            assert_eq!(keys(&list[..end]), [], "{end}");
        }
    }
}
