//! Markup in which no text can become markup.
use super::super::scene::Scene;
use super::super::text::clean;
use super::super::text::escape;

/// Longest text, and longest line of several, that is shown whole.
const LONGEST: usize = 400;
const LONGEST_LINE: usize = 4000;

/// A growing piece of HTML.
///
/// Markup can only come from the program ([`raw`](Self::raw) takes `&'static str`); whatever else
/// is written is escaped.
#[derive(Default)]
pub(super) struct Page {
    html: String,
}

impl Page {
    pub fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.html.push_str(markup);
        self
    }

    pub fn text(&mut self, text: impl AsRef<str>) -> &mut Self {
        self.html.push_str(&escape(&clean(text.as_ref(), LONGEST)));
        self
    }

    /// Several lines that stay lines.
    pub fn lines(&mut self, text: &str) -> &mut Self {
        for line in text.lines() {
            self.html.push_str(&escape(&clean(line, LONGEST_LINE)));
            self.html.push('\n');
        }
        self
    }

    pub fn picture(&mut self, scene: &Scene) -> &mut Self {
        self.raw("<figure>");
        self.html.push_str(&scene.svg());
        self.raw("</figure>\n")
    }

    pub fn section(&mut self, title: &str) -> &mut Self {
        self.raw("<h2>").text(title).raw("</h2>\n")
    }

    pub fn paragraph(&mut self, text: impl AsRef<str>) -> &mut Self {
        self.raw("<p>").text(text).raw("</p>\n")
    }

    /// A table; columns whose title ends in `#` hold numbers and are aligned to the right.
    pub fn table(&mut self, titles: &[&str], rows: &[Vec<String>]) -> &mut Self {
        let is_number = |at: usize| titles.get(at).is_some_and(|t| t.ends_with('#'));
        self.raw("<div class=\"wide\"><table><thead><tr>");
        for (at, title) in titles.iter().enumerate() {
            self.raw(if is_number(at) { "<th class=\"number\">" } else { "<th>" });
            self.text(title.trim_end_matches('#')).raw("</th>");
        }
        self.raw("</tr></thead><tbody>\n");
        for row in rows {
            self.raw("<tr>");
            for (at, cell) in row.iter().enumerate() {
                self.raw(if is_number(at) { "<td class=\"number\">" } else { "<td>" });
                self.text(cell).raw("</td>");
            }
            self.raw("</tr>\n");
        }
        self.raw("</tbody></table></div>\n")
    }

    pub fn finish(self) -> String {
        self.html
    }
}
