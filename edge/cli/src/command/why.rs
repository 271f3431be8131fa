//! `kogge why`

use std::io;

use kogge_model::view::WhyView;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Page, Show};
use crate::table::{self, clean, or_dash};
use crate::time;

pub(crate) async fn run(context: &mut Context, name: Option<String>) -> Result<(), Failure> {
    let name = name.or_else(super::app_here).ok_or_else(|| {
        Failure::usage("why what: no name was given, and this is no checkout of an app")
            .with_hint("name an app, a service or an instance, such as `kogge why web.1`")
    })?;
    let why = context.client()?.why(&name).await?;
    context.print(&why)
}

impl Show for WhyView {
    fn show(&self, page: &mut Page<'_>) -> io::Result<()> {
        self.sentences.iter().try_for_each(|sentence| writeln!(page.out, "{}", clean(sentence)))?;
        self.hints.iter().try_for_each(|hint| writeln!(page.out, "hint: {}", clean(hint)))?;
        if self.history.is_empty() {
            return Ok(());
        }
        writeln!(page.out)?;
        let now = page.now;
        let rows = self.history.iter().map(|decision| {
            let of = decision.instance.as_ref().or(decision.service.as_ref());
            [
                format!("{} ago", time::ago(decision.at, now)),
                or_dash(of),
                decision.verb.clone(),
                decision.reason.clone(),
            ]
        });
        table::write(page.out, ["WHEN", "OF", "DECIDED", "BECAUSE"], rows)
    }
}

#[cfg(test)]
mod tests {
    use kogge_model::time::Timestamp;
    use kogge_model::view::DecisionView;

    use super::*;

    #[test]
    fn the_answer_comes_first_then_its_history() {
        let why = WhyView {
            subject: "hello".into(),
            sentences: vec!["hello.1 waits: no agent has zone=a".into()],
            hints: vec!["start an agent with --attribute zone=a".into()],
            history: vec![DecisionView {
                at: Timestamp::from_secs(10).into(),
                service: Some("hello".into()),
                instance: Some("hello.1".into()),
                task: None,
                verb: "wait".into(),
                reason: "no agent has zone=a".into(),
                hint: None,
            }],
        };
        let mut out = Vec::new();
        why.show(&mut Page { out: &mut out, now: Timestamp::from_secs(15) }).unwrap();
        insta::with_settings!({ snapshot_path => "../../tests/golden" }, {
            insta::assert_snapshot!("why", String::from_utf8(out).unwrap());
        });
    }
}
