package retryer

import "sync"

// maxAside bounds what rebuilds hold in memory that wait without a place, in users: 8 bytes for one with a coupon, about
// 60 for any other. Each rebuild counts as leastAside at least, so up to 400 wait so.
const maxAside, leastAside = 4_000_000, 10_000

// rebuildSlots bounds the rebuilds of this process: so many at a time, and one per campaign. Campaigns for which there
// is no room wait in a line, each once, and are begun as soon as there is: after the loss of Redis all gates are to be
// rebuilt, those first at which people are applying.
type rebuildSlots struct {
	mu    sync.Mutex
	limit int
	// taken counts the places that are taken. A rebuild that waits aside has none; held is what those hold.
	taken, held int
	// running names the campaigns that are being rebuilt, aside or not.
	running map[string]bool
	// returning are the rebuilds that have waited and need a place again, in their order. They come before the line.
	returning []chan struct{}
	// urgent and waiting are the line. They may name campaigns that are rebuilt already; queued holds what begins those
	// that still wait.
	urgent, waiting []string
	queued          map[string]func()
	group           sync.WaitGroup
}

func newRebuildSlots(limit int) *rebuildSlots {
	return &rebuildSlots{limit: limit, running: map[string]bool{}, queued: map[string]func(){}}
}

// take says whether a rebuild of the campaign may run now; if so, leave must be called at its end.
func (s *rebuildSlots) take(code string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running[code] || s.taken >= s.limit {
		return false
	}
	s.taken++
	s.begin(code)
	return true
}

func (s *rebuildSlots) begin(code string) {
	delete(s.queued, code)
	s.running[code] = true
	s.group.Add(1)
}

// takeOrWait is take, and the campaign waits in the line when there is no room: an urgent one before all others. Then
// later is called, in a goroutine of its own, once it has a place; it calls leave as well.
func (s *rebuildSlots) takeOrWait(code string, urgent bool, later func()) bool {
	if s.take(code) {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, waits := s.queued[code]; waits || s.running[code] {
		return false
	}
	s.queued[code] = later
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
	_, waits := s.queued[code]
	return s.running[code] || waits && s.taken >= s.limit
}

// leave ends the rebuild of a campaign, and gives its place on.
func (s *rebuildSlots) leave(code string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.running, code)
	s.giveOn()
	s.group.Done()
}

// giveOn gives a place to the next one.
func (s *rebuildSlots) giveOn() {
	if len(s.returning) > 0 {
		close(s.returning[0])
		s.returning = s.returning[1:]
		return
	}
	for _, line := range []*[]string{&s.urgent, &s.waiting} {
		for len(*line) > 0 {
			first := (*line)[0]
			*line = (*line)[1:]
			if run, waits := s.queued[first]; waits && !s.running[first] {
				s.begin(first)
				go run()
				return
			}
		}
	}
	s.taken--
}

// aside has a rebuild wait for something, and leaves its place to others meanwhile, unless those that wait so hold as much
// as may be. users is how many the rebuild holds.
func (s *rebuildSlots) aside(users int, wait func() error) error {
	users = max(users, leastAside)
	if !s.stepAside(users) {
		return wait()
	}
	defer s.comeBack(users)
	return wait()
}

func (s *rebuildSlots) stepAside(users int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held+users > maxAside {
		return false
	}
	s.held += users
	s.giveOn()
	return true
}

// comeBack waits for a place, however long that takes: each rebuild that has one ends within its time.
func (s *rebuildSlots) comeBack(users int) {
	if turn := s.line(); turn != nil {
		<-turn
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held -= users
}

// line takes a place, or gives what tells when there is one.
func (s *rebuildSlots) line() chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken < s.limit {
		s.taken++
		return nil
	}
	turn := make(chan struct{})
	s.returning = append(s.returning, turn)
	return turn
}

// wait returns when no rebuild is under way.
func (s *rebuildSlots) wait() { s.group.Wait() }
