//! HTML as a string in which only literals are markup; every value is escaped.

/// A page that grows.
#[derive(Debug, Default)]
pub(super) struct Markup(String);

impl Markup {
    /// Markup written by us.
    pub(super) fn raw(&mut self, literal: &'static str) -> &mut Self {
        self.0.push_str(literal);
        self
    }

    /// A value from anywhere.
    pub(super) fn text(&mut self, value: impl AsRef<str>) -> &mut Self {
        for c in value.as_ref().chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                c if c.is_control() && c != '\n' => self.0.push('\u{fffd}'),
                c => self.0.push(c),
            }
        }
        self
    }

    /// A table row with these cells.
    pub(super) fn row<const N: usize>(&mut self, cells: [&str; N]) -> &mut Self {
        self.raw("<tr>");
        for cell in cells {
            self.raw("<td>").text(cell).raw("</td>");
        }
        self.raw("</tr>\n")
    }

    /// The beginning of a table with these headings.
    pub(super) fn table<const N: usize>(&mut self, headings: [&'static str; N]) -> &mut Self {
        self.raw("<table><thead><tr>");
        for heading in headings {
            self.raw("<th scope=\"col\">").text(heading).raw("</th>");
        }
        self.raw("</tr></thead><tbody>\n")
    }

    /// The end of a table.
    pub(super) fn end_table(&mut self) -> &mut Self {
        self.raw("</tbody></table>\n")
    }

    pub(super) fn into_string(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_become_markup() {
        let mut page = Markup::default();
        page.row(["<script>alert('&\"')</script>", "\u{1b}[31m"]);
        let page = page.into_string();
        assert_eq!(
            page,
            "<tr><td>&lt;script&gt;alert(&#39;&amp;&quot;&#39;)&lt;/script&gt;</td><td>\u{fffd}[31m</td></tr>\n"
        );
    }
}
