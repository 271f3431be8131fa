//! Tables without lines: one row a line, so that they can be cut and searched.

use std::io::{self, Write};

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};

/// Writes rows below a header in capitals.
pub(crate) fn write<const N: usize>(
    out: &mut dyn Write,
    header: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> io::Result<()> {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled).set_header(header);
    for row in rows {
        table.add_row(row.map(|cell| clean(&cell)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().try_for_each(|line| writeln!(out, "{}", line.trim_end()))
}

/// A cell is one line, and nothing in it moves the cursor: reasons may quote what a task wrote.
pub(crate) fn clean(text: &str) -> String {
    let shown = |c: char| if c.is_control() { ' ' } else { c };
    if text.is_empty() { "-".to_owned() } else { text.chars().map(shown).collect() }
}

/// `-` for nothing.
pub(crate) fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stay_one_line_and_columns_align() {
        let mut out = Vec::new();
        let rows = [
            ["a".into(), "two\nlines".into()],
            ["longer".into(), "\u{1b}[2Jx".into()],
            ["".into(), "y".into()],
        ];
        write(&mut out, ["NAME", "WHAT"], rows).unwrap();
        let expected = "NAME    WHAT\na       two lines\nlonger   [2Jx\n-       y\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
