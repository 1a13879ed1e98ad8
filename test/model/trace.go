package model

import (
	"fmt"
	"strings"
)

// Tell prints a counterexample as sentences, one a step, and what is left at rest.
func Tell(c *Case, result Result) string {
	var text strings.Builder
	m := newMachine(c, true)
	if c.Begin != nil {
		fmt.Fprintf(&text, "  0  %s\n", strings.TrimSpace(m.told.String()))
	}
	for i, v := range result.Trace {
		m.told.Reset()
		broken := m.s.Ghost.Broken
		if !m.take(v) {
			fmt.Fprintf(&text, "%3d  (%s can't be taken)\n", i+1, steps[v.kind].name)
			continue
		}
		fmt.Fprintf(&text, "%3d  %s", i+1, strings.TrimSpace(m.told.String()))
		tellBroken(&text, m.s.Ghost.Broken&^broken)
	}
	if m.s.Ghost.Broken&^c.Allow == 0 {
		m.told.Reset()
		m.settle(nil)
		fmt.Fprintf(&text, " at rest: %s", strings.ReplaceAll(m.told.String(), "  ", " "))
		tellBroken(&text, m.s.Ghost.Broken)
		fmt.Fprintf(&text, "     coupons %v, told %v, events %v, gate %v\n", m.s.Ledger.Rows, m.s.Ghost.Accepted, m.s.Events, m.s.Gate.Users)
	}
	return text.String()
}

func tellBroken(text *strings.Builder, broken Property) {
	if broken != 0 {
		fmt.Fprintf(text, "   *** %s", broken)
	}
	text.WriteString("\n")
}
