//! `kogge logs`

use std::io;

use kogge_model::view::{LogLineView, LogQuery, LogSource};

use crate::args::{Format, LogsArgs};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Page, Show};
use crate::time;

pub(crate) async fn run(context: &mut Context, args: LogsArgs) -> Result<(), Failure> {
    let query = LogQuery {
        of: args.name.or_else(super::app_here),
        since: args.since.map(|since| since.moment(time::now())),
        tail: args.tail,
        follow: args.follow,
    };
    let mut feed = context.client()?.logs(&query).await?;
    let mut lines = Lines { with_time: args.timestamps, with_name: !args.no_prefix, open: None };
    while let Some(line) = feed.next().await? {
        match context.format {
            Format::Json => context.print_next(&line)?,
            Format::Text => context.write(lines.text(&line).as_bytes())?,
        }
    }
    context.write(lines.end().as_bytes())
}

/// Puts lines under each other; pieces of a long line are joined while nothing comes between them.
struct Lines {
    with_time: bool,
    with_name: bool,
    open: Option<(String, LogSource)>,
}

impl Lines {
    fn text(&mut self, line: &LogLineView) -> String {
        let writer = (line.task.clone(), line.stream);
        let mut text = String::new();
        if self.open.as_ref() != Some(&writer) {
            text.push_str(self.end());
            if self.with_time {
                text.push_str(&format!("{} ", line.at));
            }
            if self.with_name {
                text.push_str(&format!("{} | ", line.instance));
            }
            if line.stream == LogSource::Gap {
                text.push_str("… ");
            }
        }
        text.push_str(&line.text);
        if line.is_partial {
            self.open = Some(writer);
        } else {
            self.open = None;
            text.push('\n');
        }
        text
    }

    /// Ends a line that is still open.
    fn end(&mut self) -> &'static str {
        if self.open.take().is_some() { "\n" } else { "" }
    }
}

impl Show for LogLineView {
    fn show(&self, page: &mut Page<'_>) -> io::Result<()> {
        writeln!(page.out, "{}", self.text)
    }
}

#[cfg(test)]
mod tests {
    use kogge_model::time::Timestamp;

    use super::*;

    fn line(task: &str, stream: LogSource, text: &str, is_partial: bool) -> LogLineView {
        LogLineView {
            at: Timestamp::ZERO.into(),
            service: "hello".into(),
            instance: format!("hello.{task}"),
            task: task.into(),
            stream,
            text: text.into(),
            is_partial,
            lost_records: 0,
            lost_bytes: 0,
        }
    }

    #[test]
    fn pieces_of_a_line_are_joined_and_lines_never_mix() {
        let mut lines = Lines { with_time: false, with_name: true, open: None };
        let told: String = [
            line("1", LogSource::Stdout, "half ", true),
            line("1", LogSource::Stdout, "whole", false),
            line("1", LogSource::Stdout, "half ", true),
            line("2", LogSource::Stderr, "other", false),
            line("1", LogSource::Gap, "12 lines were lost here", false),
            line("1", LogSource::Stdout, "open", true),
        ]
        .iter()
        .map(|line| lines.text(line))
        .collect();
        let expected = "hello.1 | half whole\nhello.1 | half \nhello.2 | other\n\
                        hello.1 | … 12 lines were lost here\nhello.1 | open";
        assert_eq!((told.as_str(), lines.end()), (expected, "\n"));
    }
}
