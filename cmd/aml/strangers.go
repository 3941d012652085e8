package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
)

// What strangers have written, titles above all, must look on a terminal neither
// like what this program says nor otherwise than it is. With --json it is as it
// was signed.

// quoted is a title or the like, in quotes and on one line, as publishers' names
// are shown (channel.QuotedNames); other, bare, where there is none.
func quoted(s, other string) string {
	if s == "" {
		return other
	}
	return strconv.Quote(s)
}

// plain is a text of one line without quotes, where others may not follow: what
// cannot be seen is written out.
func plain(s string) string {
	var b strings.Builder
	for _, r := range s {
		if strconv.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		q := strconv.QuoteRune(r)
		b.WriteString(q[1 : len(q)-1])
	}
	return b.String()
}

// prose writes a text of many lines, each behind a mark that no line of this
// program's own begins with.
func prose(w io.Writer, s string) {
	for line := range strings.Lines(strings.ReplaceAll(s, "\r\n", "\n")) {
		fmt.Fprintf(w, "  | %s\n", plain(strings.ReplaceAll(strings.TrimSuffix(line, "\n"), "\t", "    ")))
	}
}
