//! Lists of targets: one item a line, blank lines and `#` comments left out, Unix or Windows line ends.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use super::error::{ItemError, Place, TargetError};

/// A longer line than this is no line of a list: a binary file is told from one early.
const MAX_LINE: usize = 4096;

/// Whether a path stands for standard input.
pub(super) fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Calls `each` for every item of a file or of standard input.
pub(super) fn read(
    path: &Path,
    each: impl FnMut(&str, &Place) -> Result<(), TargetError>,
) -> Result<(), TargetError> {
    if is_stdin(path) {
        return read_from("standard input", io::stdin().lock(), each);
    }
    let name = path.display().to_string();
    match File::open(path) {
        Ok(file) => read_from(&name, BufReader::with_capacity(1 << 16, file), each),
        Err(cause) => Err(TargetError::Read { file: name, cause }),
    }
}

/// Calls `each` for every item of a stream of that name.
pub(super) fn read_from(
    name: &str,
    mut lines: impl BufRead,
    mut each: impl FnMut(&str, &Place) -> Result<(), TargetError>,
) -> Result<(), TargetError> {
    let mut place = Place::in_file(name, 0);
    let mut line = Vec::with_capacity(256);
    loop {
        line.clear();
        // One byte more than is allowed tells a line that is too long from one that just fits.
        let read = lines.by_ref().take(MAX_LINE as u64 + 1).read_until(b'\n', &mut line);
        if read.map_err(|cause| TargetError::Read { file: name.to_owned(), cause })? == 0 {
            return Ok(());
        }
        place.line += 1;
        if line.len() > MAX_LINE {
            return Err(TargetError::LineTooLong { place, max: MAX_LINE });
        }
        let item = item_of(&line, place.line == 1);
        if item.is_empty() {
            continue;
        }
        let Ok(item) = str::from_utf8(item) else {
            let item = String::from_utf8_lossy(item).into_owned();
            return Err(TargetError::Item { place, item, problem: ItemError::Unknown });
        };
        each(item, &place)?;
    }
}

/// The item of a line: no byte order mark, no comment, no blanks around it.
fn item_of(line: &[u8], is_first: bool) -> &[u8] {
    let line = if is_first { line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line) } else { line };
    let end = line.iter().position(|&byte| byte == b'#').unwrap_or(line.len());
    line[..end].trim_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(text: &[u8]) -> Result<Vec<(String, u64)>, TargetError> {
        let mut items = Vec::new();
        read_from("FILE", text, |item, place| {
            items.push((item.to_owned(), place.line));
            Ok(())
        })?;
        Ok(items)
    }

    #[test]
    fn comments_blanks_and_line_ends_are_tolerated() {
        let text =
            b"\xef\xbb\xbf10.0.0.1\r\n\r\n# all of it\n  10.0.0.2\t# inline\n10.0.0.3#tight\n\n10.0.0.4";
        let found = items(text).unwrap();
        let expected = [("10.0.0.1", 1), ("10.0.0.2", 4), ("10.0.0.3", 5), ("10.0.0.4", 7)];
        assert_eq!(found, expected.map(|(item, line)| (item.to_owned(), line)));
    }

    #[test]
    fn what_is_no_list_is_refused_by_line() {
        let error = items(b"10.0.0.1\n\xff\xfe\n").unwrap_err().to_string();
        assert!(error.starts_with("FILE:2: '"), "{error}");
        let mut long = b"#".repeat(MAX_LINE);
        assert!(items(&long).unwrap().is_empty());
        long.push(b'#');
        let error = items(&long).unwrap_err().to_string();
        assert!(error.contains("FILE:1: the line is longer than 4096 bytes"), "{error}");
    }

    #[test]
    fn an_unreadable_file_is_named() {
        for path in ["/nonexistent/list", "/"] {
            let error = read(Path::new(path), |_, _| Ok(())).unwrap_err().to_string();
            assert!(error.contains(path) && error.contains("standard input"), "{error}");
        }
    }
}
