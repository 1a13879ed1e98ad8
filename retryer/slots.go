package retryer

import "sync"

// rebuildSlots bounds the rebuilds of this process: so many at a time, and one per campaign. Campaigns for which there
// is no room wait in a line, each once, so that whoever has finished goes on at once: after the loss of Redis all
// gates are to be rebuilt, those first at which people are applying.
type rebuildSlots struct {
	mu      sync.Mutex
	limit   int
	running map[string]bool
	// urgent and waiting are the line. They may name campaigns that are rebuilt already; queued holds those that still
	// wait.
	urgent, waiting []string
	queued          map[string]bool
	group           sync.WaitGroup
}

func newRebuildSlots(limit int) *rebuildSlots {
	return &rebuildSlots{limit: limit, running: map[string]bool{}, queued: map[string]bool{}}
}

// take says whether a rebuild of the campaign may run now; if so, leave or next must be called at its end.
func (s *rebuildSlots) take(code string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running[code] || len(s.running) >= s.limit {
		return false
	}
	delete(s.queued, code)
	s.running[code] = true
	s.group.Add(1)
	return true
}

// takeOrWait is take, and the campaign waits in the line when there is no room: an urgent one before all others.
func (s *rebuildSlots) takeOrWait(code string, urgent bool) bool {
	if s.take(code) {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running[code] || s.queued[code] {
		return false
	}
	s.queued[code] = true
	if urgent {
		s.urgent = append(s.urgent, code)
	} else {
		s.waiting = append(s.waiting, code)
	}
	return false
}

// isBusy says whether the campaign is being rebuilt, or waits while there is no room.
func (s *rebuildSlots) isBusy(code string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running[code] || (s.queued[code] && len(s.running) >= s.limit)
}

func (s *rebuildSlots) leave(code string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.running, code)
	s.group.Done()
}

// next is leave, unless a campaign waits: then its rebuild may run in place of the other.
func (s *rebuildSlots) next(code string) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.running, code)
	for _, line := range []*[]string{&s.urgent, &s.waiting} {
		for len(*line) > 0 {
			first := (*line)[0]
			*line = (*line)[1:]
			if s.queued[first] && !s.running[first] {
				delete(s.queued, first)
				s.running[first] = true
				return first, true
			}
		}
	}
	s.group.Done()
	return "", false
}

// wait returns when no rebuild is under way.
func (s *rebuildSlots) wait() { s.group.Wait() }
