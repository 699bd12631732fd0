//! Bodies that a CDN compressed although nobody asked for it (RFC 9110 section 12.5.3 allows that): unpacked, under a cap.

use std::io::Read;

use flate2::bufread::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, HeaderValue};
use zeroize::Zeroizing;

/// Why a body cannot be unpacked.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    TooLarge,
    /// Cut, or damaged.
    Broken,
}

/// How a body is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Gzip,
    /// zlib (RFC 9110 section 8.4.1.2), or what some servers send under that name: deflate without its frame.
    Deflate,
}

/// 2: once by the server and once by what stands before it.
const MOST_CODINGS: usize = 2;

/// The body as it was before it was compressed, and the headers without that. A coding that is not read here stays, and is told
/// by `foreign_encoding`.
pub(super) fn unpacked(
    headers: &mut HeaderMap,
    body: Zeroizing<Vec<u8>>,
    largest: usize,
) -> Result<Zeroizing<Vec<u8>>, Flaw> {
    let mut codings = Vec::new();
    for name in headers.get_all(CONTENT_ENCODING).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b',')) {
        match &*name.trim_ascii().to_ascii_lowercase() {
            b"" | b"identity" => {}
            b"gzip" | b"x-gzip" => codings.push(Coding::Gzip),
            b"deflate" => codings.push(Coding::Deflate),
            _ => return Ok(body),
        }
    }
    if codings.len() > MOST_CODINGS {
        return Ok(body);
    }
    let mut body = body;
    // Some label an empty body too.
    if !body.is_empty() {
        // The one that was applied last comes off first.
        for coding in codings.into_iter().rev() {
            body = unpack(&body, coding, largest)?;
        }
    }
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static("identity"));
    Ok(body)
}

fn unpack(packed: &[u8], coding: Coding, largest: usize) -> Result<Zeroizing<Vec<u8>>, Flaw> {
    match coding {
        Coding::Gzip => read(MultiGzDecoder::new(packed), largest),
        Coding::Deflate => match read(ZlibDecoder::new(packed), largest) {
            Err(Flaw::Broken) => read(DeflateDecoder::new(packed), largest),
            other => other,
        },
    }
}

/// To the end, and no further than `largest`.
fn read(mut from: impl Read, largest: usize) -> Result<Zeroizing<Vec<u8>>, Flaw> {
    let mut piece = Zeroizing::new([0; 4096]);
    let mut plain = Zeroizing::new(Vec::with_capacity(piece.len().min(largest)));
    loop {
        let count = from.read(&mut *piece).map_err(|_| Flaw::Broken)?;
        let piece = piece.get(..count).unwrap_or_default();
        if piece.is_empty() {
            return Ok(plain);
        }
        if piece.len() > largest.saturating_sub(plain.len()) {
            return Err(Flaw::TooLarge);
        }
        append(&mut plain, piece);
    }
}

/// `Vec` would grow by itself, and leave an unwiped copy.
pub(super) fn append(body: &mut Zeroizing<Vec<u8>>, piece: &[u8]) {
    if piece.len() > body.capacity() - body.len() {
        let mut larger = Zeroizing::new(Vec::with_capacity((body.len() + piece.len()).saturating_mul(2)));
        larger.extend_from_slice(body);
        *body = larger;
    }
    body.extend_from_slice(piece);
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut packer = GzEncoder::new(Vec::new(), Compression::best());
        packer.write_all(plain).unwrap();
        packer.finish().unwrap()
    }

    fn zlib(plain: &[u8]) -> Vec<u8> {
        let mut packer = ZlibEncoder::new(Vec::new(), Compression::best());
        packer.write_all(plain).unwrap();
        packer.finish().unwrap()
    }

    fn deflate(plain: &[u8]) -> Vec<u8> {
        let mut packer = DeflateEncoder::new(Vec::new(), Compression::best());
        packer.write_all(plain).unwrap();
        packer.finish().unwrap()
    }

    fn read_as(label: &'static str, body: Vec<u8>, largest: usize) -> Result<(Vec<u8>, bool), Flaw> {
        let mut headers: HeaderMap = [(CONTENT_ENCODING, HeaderValue::from_static(label))].into_iter().collect();
        let plain = unpacked(&mut headers, Zeroizing::new(body), largest)?;
        Ok((plain.to_vec(), crate::exchange::foreign_encoding(&headers).is_none()))
    }

    #[test]
    fn a_compressed_body_is_read() {
        // FE4
        let plain = vec![b'x'; 100_000];
        for (label, body) in [
            ("gzip", gzip(&plain)),
            ("x-gzip", gzip(&plain)),
            ("GZIP", gzip(&plain)),
            ("deflate", zlib(&plain)),
            ("deflate", deflate(&plain)),
            ("deflate, gzip", gzip(&zlib(&plain))),
            ("gzip", [gzip(&plain[..7]), gzip(&plain[7..])].concat()),
            ("identity", plain.clone()),
            ("", plain.clone()),
        ] {
            assert_eq!(read_as(label, body, 100_000), Ok((plain.clone(), true)), "{label}");
        }
        assert_eq!(read_as("gzip", Vec::new(), 10), Ok((Vec::new(), true)), "an empty body with a label");
    }

    #[test]
    fn a_small_body_does_not_become_a_large_one() {
        let bomb = vec![0; 64 * 1024 * 1024];
        for (label, body) in [("gzip", gzip(&bomb)), ("deflate", zlib(&bomb)), ("deflate", deflate(&bomb))] {
            assert_eq!(read_as(label, body, 256 * 1024), Err(Flaw::TooLarge), "{label}");
        }
        assert_eq!(read_as("gzip, gzip", gzip(&gzip(&bomb)), 256 * 1024), Err(Flaw::TooLarge));
        assert_eq!(read_as("gzip", gzip(&[0; 11]), 10), Err(Flaw::TooLarge));
        assert_eq!(read_as("gzip", gzip(&[0; 10]), 10), Ok((vec![0; 10], true)));
    }

    #[test]
    fn what_is_damaged_or_unknown_is_not_read() {
        let packed = gzip(b"{}");
        assert_eq!(read_as("gzip", packed[..packed.len() - 1].to_vec(), 100), Err(Flaw::Broken));
        assert_eq!(read_as("gzip", b"{}".to_vec(), 100), Err(Flaw::Broken));
        for label in ["br", "zstd", "gzip, br", "gzip, gzip, gzip"] {
            assert_eq!(read_as(label, packed.clone(), 100), Ok((packed.clone(), false)), "{label}");
        }
    }
}
