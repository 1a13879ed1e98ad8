package admission

import "sync/atomic"

// places are what all campaigns share of one bound of the process. A campaign gets no more while it holds more of them than
// are free: a crowd at one campaign has at most half, and of what crowds leave, another campaign may always have half. So a
// campaign whose gate does not answer, or does not open, keeps nobody of another one out.
type places struct {
	most  int64
	taken atomic.Int64
}

// take takes n more for a campaign that holds so many, or none of them.
func (p *places) take(held, n int64) bool {
	if held <= p.most-p.taken.Add(n) {
		return true
	}
	p.taken.Add(-n)
	return false
}

func (p *places) give(n int64) { p.taken.Add(-n) }
