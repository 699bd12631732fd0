//! Decompresses bodies that a CDN compressed without being asked (RFC 9110 section 12.5.3 allows that), under a size limit.

use http::HeaderMap;
use http::header::{CONTENT_ENCODING, HeaderValue};
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::{
    TINFL_FLAG_PARSE_ZLIB_HEADER, TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF,
};
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};
use zeroize::Zeroizing;

/// Why a body cannot be unpacked.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    TooLarge,
    /// Truncated or damaged.
    Broken,
}

/// The content coding of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Gzip,
    /// zlib (RFC 9110 section 8.4.1.2), or raw deflate, which some servers send under this name.
    Deflate,
}

/// 2: one by the server and one by a proxy in front of it.
const MOST_CODINGS: usize = 2;

/// The decompressed body, and the headers without the coding. A coding that is not supported remains, and
/// `foreign_encoding` reports it.
pub(super) fn unpacked(
    headers: &mut HeaderMap,
    body: Zeroizing<Vec<u8>>,
    largest: usize,
) -> Result<Zeroizing<Vec<u8>>, Flaw> {
    let mut codings = Vec::new();
    for name in headers.get_all(CONTENT_ENCODING).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
    {
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
    // Some servers label an empty body, too.
    if !body.is_empty() {
        // In reverse order of their application.
        for coding in codings.into_iter().rev() {
            body = unpack(&body, coding, largest)?;
        }
    }
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static("identity"));
    Ok(body)
}

fn unpack(packed: &[u8], coding: Coding, largest: usize) -> Result<Zeroizing<Vec<u8>>, Flaw> {
    // 1032: the largest ratio of deflate (RFC 1951: 258 bytes in two bits).
    let room = packed.len().saturating_mul(1032).saturating_add(64).min(largest);
    let mut plain = Zeroizing::new(vec![0; room]);
    let length = match coding {
        Coding::Gzip => gunzip(packed, &mut plain)?,
        Coding::Deflate => match inflate(packed, &mut plain, TINFL_FLAG_PARSE_ZLIB_HEADER) {
            Err(Flaw::Broken) => inflate(packed, &mut plain, 0)?.1,
            other => other?.1,
        },
    };
    plain.truncate(length);
    Ok(plain)
}

/// Decompresses all members of a gzip file (RFC 1952 section 2.2). Returns their length.
fn gunzip(packed: &[u8], plain: &mut [u8]) -> Result<usize, Flaw> {
    let (mut rest, mut length) = (packed, 0);
    while !rest.is_empty() {
        let body = gzip_body(rest).ok_or(Flaw::Broken)?;
        let (read, written) = inflate(body, plain.get_mut(length..).unwrap_or_default(), 0)?;
        let trailer = body.get(read..).and_then(|behind| behind.split_at_checked(8)).ok_or(Flaw::Broken)?;
        let [_, _, _, _, size @ ..] = trailer.0 else {
            return Err(Flaw::Broken);
        };
        // Modulo 2^32. The checksum before it is not verified: TLS has one, and truncated or damaged JSON is detected.
        if !written.to_le_bytes().starts_with(size) {
            return Err(Flaw::Broken);
        }
        (rest, length) = (trailer.1, length + written);
    }
    Ok(length)
}

/// The part after the header of a member (RFC 1952 section 2.3).
fn gzip_body(packed: &[u8]) -> Option<&[u8]> {
    let [0x1f, 0x8b, 8, flags, _, _, _, _, _, _, rest @ ..] = packed else {
        return None;
    };
    let has = |flag: u8| flags & flag != 0;
    let text = |rest: &'_ [u8]| rest.iter().position(|byte| *byte == 0).map(|end| end + 1);
    let mut rest = rest;
    if has(FEXTRA) {
        let (size, extra) = rest.split_first_chunk()?;
        rest = extra.get(usize::from(u16::from_le_bytes(*size))..)?;
    }
    if has(FNAME) {
        rest = rest.get(text(rest)?..)?;
    }
    if has(FCOMMENT) {
        rest = rest.get(text(rest)?..)?;
    }
    if has(FHCRC) {
        rest = rest.get(2..)?;
    }
    Some(rest)
}

const FHCRC: u8 = 0x02;
const FEXTRA: u8 = 0x04;
const FNAME: u8 = 0x08;
const FCOMMENT: u8 = 0x10;

/// Returns how much was read and written.
fn inflate(packed: &[u8], plain: &mut [u8], format: u32) -> Result<(usize, usize), Flaw> {
    let mut inflater = Box::<DecompressorOxide>::default();
    let flags = format | TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
    match decompress(&mut inflater, packed, plain, 0, flags) {
        (TINFLStatus::Done, read, written) => Ok((read, written)),
        (TINFLStatus::HasMoreOutput, ..) => Err(Flaw::TooLarge),
        _ => Err(Flaw::Broken),
    }
}

/// Grows the buffer without leaving an unwiped copy, as `Vec` itself would.
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
            ("gzip, identity", gzip(&plain)),
            (", gzip", gzip(&plain)),
            ("gzip", [gzip(&plain[..7]), gzip(&plain[7..])].concat()),
            ("identity", plain.clone()),
            ("", plain.clone()),
        ] {
            assert_eq!(read_as(label, body, 100_000), Ok((plain.clone(), true)), "{label}");
        }
        assert_eq!(read_as("gzip", Vec::new(), 10), Ok((Vec::new(), true)), "an empty body with a label");
    }

    #[test]
    fn a_gzip_header_may_have_optional_fields() {
        let packed = flate2::GzBuilder::new().filename("token").comment("of today").extra([7; 300]);
        let mut packed = packed.write(Vec::new(), Compression::best());
        packed.write_all(b"{}").unwrap();
        assert_eq!(read_as("gzip", packed.finish().unwrap(), 100), Ok((b"{}".to_vec(), true)));
        // The length of an extra field ends it, and not a zero; a checksum of the header is passed over.
        let mut packed = flate2::GzBuilder::new().extra([0; 300]).write(Vec::new(), Compression::best());
        packed.write_all(b"{}").unwrap();
        assert_eq!(read_as("gzip", packed.finish().unwrap(), 100), Ok((b"{}".to_vec(), true)));
        let mut packed = gzip(b"{}");
        packed[3] = FHCRC;
        packed.splice(10..10, [0xff; 2]);
        assert_eq!(read_as("gzip", packed, 100), Ok((b"{}".to_vec(), true)));
        for end in 0..40 {
            assert!(gzip_body(&[0x1f, 0x8b, 8, 0x1e, 0, 0, 0, 0, 0, 0, 255, 255, 0][..end.min(13)]).is_none());
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_refused_under_the_cap(
            body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200), gzip: bool, largest in 0..2000_usize,
        ) {
            let header: &[u8] = if gzip { &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0] } else { &[] };
            let body = [header, &body].concat();
            if let Ok((plain, _)) = read_as(if gzip { "gzip" } else { "deflate" }, body, largest) {
                proptest::prop_assert!(plain.len() <= largest);
            }
        }
    }

    #[test]
    fn a_small_body_does_not_become_a_large_one() {
        let bomb = vec![0; 4 * 1024 * 1024];
        for (label, body) in [("gzip", gzip(&bomb)), ("deflate", zlib(&bomb)), ("deflate", deflate(&bomb))] {
            assert_eq!(read_as(label, body, 256 * 1024), Err(Flaw::TooLarge), "{label}");
        }
        assert_eq!(read_as("gzip, gzip", gzip(&gzip(&bomb)), 256 * 1024), Err(Flaw::TooLarge));
        assert_eq!(read_as("gzip", gzip(&[0; 11]), 10), Err(Flaw::TooLarge));
        assert_eq!(read_as("gzip", gzip(&[0; 10]), 10), Ok((vec![0; 10], true)));
    }

    #[test]
    fn a_damaged_or_unknown_coding_is_not_decoded() {
        let packed = gzip(b"{}");
        for end in 1..packed.len() {
            assert_eq!(read_as("gzip", packed[..end].to_vec(), 100), Err(Flaw::Broken), "cut at {end}");
        }
        assert_eq!(read_as("gzip", b"{}".to_vec(), 100), Err(Flaw::Broken));
        for label in ["br", "zstd", "gzip, br", "gzip, gzip, gzip"] {
            assert_eq!(read_as(label, packed.clone(), 100), Ok((packed.clone(), false)), "{label}");
        }
    }
}
