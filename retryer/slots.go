package retryer

import "sync"

// rebuildSlots bounds the rebuilds of this process: so many at a time, and one per campaign.
type rebuildSlots struct {
	mu      sync.Mutex
	limit   int
	running map[string]bool
	group   sync.WaitGroup
}

func newRebuildSlots(limit int) *rebuildSlots {
	return &rebuildSlots{limit: limit, running: map[string]bool{}}
}

// take says whether a rebuild of the campaign may run now; if so, leave must be called at its end.
func (s *rebuildSlots) take(code string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running[code] || len(s.running) >= s.limit {
		return false
	}
	s.running[code] = true
	s.group.Add(1)
	return true
}

func (s *rebuildSlots) leave(code string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.running, code)
	s.group.Done()
}

// wait returns when no rebuild is under way.
func (s *rebuildSlots) wait() { s.group.Wait() }
