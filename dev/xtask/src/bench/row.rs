//! One line of the table: what was measured, its peer, the goal.

use serde_json::{Value, json};

/// Measurements of one thing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Series(Vec<f64>);

/// Which measurement is the bad one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Better {
    Lower,
    Higher,
}

impl Series {
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// The middle one; the mean of the two in the middle.
    pub(crate) fn median(&self) -> Option<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let upper = sorted.get(middle)?;
        if sorted.len() % 2 == 1 { Some(*upper) } else { Some(f64::midpoint(sorted[middle - 1], *upper)) }
    }

    fn worst(&self, better: Better) -> Option<f64> {
        match better {
            Better::Lower => self.0.iter().copied().reduce(f64::max),
            Better::Higher => self.0.iter().copied().reduce(f64::min),
        }
    }
}

impl FromIterator<f64> for Series {
    fn from_iter<T: IntoIterator<Item = f64>>(values: T) -> Self {
        Self(values.into_iter().collect())
    }
}

/// What the value, or its ratio to the peer's, should be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Goal {
    AtMost(f64),
    RatioAtMost(f64),
    RatioAtLeast(f64),
    AtLeast(f64),
    /// Shown beside another row, not judged.
    Shown,
}

/// One line of the table.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    name: &'static str,
    unit: &'static str,
    better: Better,
    measured: Series,
    peer_name: &'static str,
    peer: Series,
    goal: Goal,
    note: String,
}

impl Row {
    pub(crate) fn new(name: &'static str, unit: &'static str, better: Better, measured: Series) -> Self {
        Self {
            name,
            unit,
            better,
            measured,
            peer_name: "",
            peer: Series::default(),
            goal: Goal::Shown,
            note: String::new(),
        }
    }

    /// Beside whom. An empty series means that the peer could not be measured: a note says why.
    pub(crate) fn beside(mut self, name: &'static str, peer: Series) -> Self {
        (self.peer_name, self.peer) = (name, peer);
        self
    }

    pub(crate) fn goal(mut self, goal: Goal) -> Self {
        self.goal = goal;
        self
    }

    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    fn ratio(&self) -> Option<f64> {
        let (value, peer) = (self.measured.median()?, self.peer.median()?);
        (peer > 0.0).then(|| value / peer)
    }

    /// Whether the goal is met; none where there is no goal, or no peer to compare with.
    pub(crate) fn passes(&self) -> Option<bool> {
        match self.goal {
            Goal::AtMost(most) => Some(self.measured.median()? <= most),
            Goal::AtLeast(least) => Some(self.measured.median()? >= least),
            Goal::RatioAtMost(most) => Some(self.ratio()? <= most),
            Goal::RatioAtLeast(least) => Some(self.ratio()? >= least),
            Goal::Shown => None,
        }
    }

    pub(crate) fn has_peer(&self) -> bool {
        !self.peer_name.is_empty()
    }

    pub(crate) fn is_judged(&self) -> bool {
        self.goal != Goal::Shown
    }

    fn goal_text(&self) -> String {
        match self.goal {
            Goal::AtMost(most) => format!("≤ {} {}", short(most), self.unit),
            Goal::AtLeast(least) => format!("≥ {} {}", short(least), self.unit),
            Goal::RatioAtMost(most) => format!("≤ {most} × {}", self.peer_name),
            Goal::RatioAtLeast(least) => format!("≥ {least} × {}", self.peer_name),
            Goal::Shown => String::new(),
        }
    }

    /// As an entry of `bench.json`.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "name": self.name,
            "value": self.measured.median(),
            "worst": self.measured.worst(self.better),
            "unit": self.unit,
            "peer": self.peer.median(),
            "peer_worst": self.peer.worst(self.better),
            "peer_name": (!self.peer_name.is_empty()).then_some(self.peer_name),
            "ratio": self.ratio(),
            "goal": Some(self.goal_text()).filter(|text| !text.is_empty()),
            "pass": self.passes(),
            "rounds": self.measured.0.len(),
            "note": Some(self.note.as_str()).filter(|text| !text.is_empty()),
        })
    }

    fn cells(&self) -> [String; 7] {
        let with_worst = |series: &Series| match (series.median(), series.worst(self.better)) {
            (Some(median), Some(worst)) if series.0.len() > 1 => {
                format!("{} ({})", short(median), short(worst))
            }
            (Some(median), _) => short(median),
            _ => "–".to_owned(),
        };
        let peer = if self.peer_name.is_empty() {
            String::new()
        } else {
            with_worst(&self.peer) + " " + self.peer_name
        };
        let verdict = match (self.passes(), self.is_judged()) {
            (Some(true), _) => "yes",
            (Some(false), _) => "NO",
            (None, true) => "not judged",
            (None, false) => "",
        };
        [
            self.name.to_owned(),
            with_worst(&self.measured),
            self.unit.to_owned(),
            peer,
            self.ratio().map(|ratio| format!("{ratio:.3}")).unwrap_or_default(),
            self.goal_text(),
            verdict.to_owned(),
        ]
    }
}

/// Three significant digits at least, thousands apart.
fn short(value: f64) -> String {
    let digits = match value.abs() {
        v if v >= 100.0 || v == 0.0 => 0,
        v if v >= 10.0 => 1,
        v if v >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.digits$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut out = String::new();
    for (at, digit) in whole.char_indices() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) && !out.ends_with('-') {
            out.push(',');
        }
        out.push(digit);
    }
    out + rest
}

/// The table in Markdown, medians with the worst in brackets.
pub(crate) fn table(rows: &[Row]) -> String {
    let head = ["what", "kogge", "unit", "peer", "ratio", "goal", "met"].map(str::to_owned);
    let lines: Vec<[String; 7]> = std::iter::once(head).chain(rows.iter().map(Row::cells)).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..7).map(width).collect();
    let mut out = String::new();
    for (number, line) in lines.iter().enumerate() {
        let cells: Vec<String> =
            line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        out += &format!("| {} |\n", cells.join(" | "));
        if number == 0 {
            let rules: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
            out += &format!("| {} |\n", rules.join(" | "));
        }
    }
    for row in rows.iter().filter(|row| !row.note.is_empty()) {
        out += &format!("\n{}: {}", row.name, row.note);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(goal: Goal, measured: &[f64], peer: &[f64]) -> Row {
        let series = |values: &[f64]| values.iter().copied().collect();
        Row::new("x", "ms", Better::Lower, series(measured)).beside("peer", series(peer)).goal(goal)
    }

    #[test]
    fn goals_are_judged_by_medians() {
        assert_eq!(row(Goal::AtMost(2.0), &[1.0, 2.0, 9.0], &[]).passes(), Some(true));
        assert_eq!(row(Goal::AtMost(2.0), &[1.0, 2.1, 9.0], &[]).passes(), Some(false));
        assert_eq!(row(Goal::AtLeast(5.0), &[4.0, 6.0], &[]).passes(), Some(true));
        assert_eq!(row(Goal::RatioAtMost(0.5), &[1.0], &[2.0, 3.0, 2.0]).passes(), Some(true));
        assert_eq!(row(Goal::RatioAtLeast(2.0), &[3.0], &[2.0]).passes(), Some(false));
    }

    #[test]
    fn without_its_peer_a_ratio_is_not_judged() {
        let row = row(Goal::RatioAtMost(0.5), &[1.0], &[]);
        assert_eq!((row.passes(), row.is_judged()), (None, true));
        assert!(row.to_json()["pass"].is_null() && row.to_json()["peer"].is_null());
    }

    #[test]
    fn the_table_tells_medians_and_the_worst() {
        let table = table(&[row(Goal::RatioAtMost(0.5), &[1.0, 2.0, 4321.0], &[8.0]).note("why")]);
        assert!(table.contains("| 2.00 (4,321) | ms   | 8.00 peer | 0.250 | ≤ 0.5 × peer | yes"), "{table}");
        assert!(table.ends_with("x: why"), "{table}");
        assert_eq!([0.0, 12.34, 123_456.7].map(short), ["0", "12.3", "123,457"]);
    }
}
