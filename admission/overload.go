package admission

import (
	"context"
	"sort"
	"time"

	"firstcome/domain"
)

// What happens when more applications come than can be decided:
//
//  1. The line of a campaign keeps its order, so a crowd that comes all at once is served as far as burstWait allows. A
//     line that has not been empty for that long stands: from then on everybody who has waited for standingWait is refused, so
//     that everybody's wait stays short, and nothing is left of the overload so long after its end.
//  2. Nobody is admitted while Kafka is behind: a winner must be published, and would only wait there.
//  3. Who is refused was not admitted, and has cost no call of Redis. The answer, 503 with Retry-After, is held back
//     until refusalAge: it costs the server half of what a winner does, and clients that ask again at once would leave no
//     time for winners. A connection that waits for it costs nothing but the memory that it has anyway.
//
// So all queues are bounded: by MaxWaiting and these times the line (a campaign has its share of it, places), by MaxConnections those who are held back, and both
// by MaxConnections in memory.

const (
	// burstWait is how long an application waits in line at most, and standingWait in a line that has not been empty
	// for burstWait.
	burstWait    = 2 * time.Second
	standingWait = 500 * time.Millisecond
	// refusalAge is how long after an application came it is refused at the earliest.
	refusalAge = 2 * time.Second
	// kafkaWait is how long the first of a crowd may be on the way to Kafka. Fewer winners than Config.KafkaCrowd are no
	// crowd: while Kafka is away they are admitted all the same, and hear "reserved".
	kafkaWait = 250 * time.Millisecond
	// mostCrowds is how many crowds may be on the way to Kafka, however quick it was until now.
	mostCrowds = 4
)

var errOverloaded = &domain.Error{
	Code: domain.CodeOverloaded, Message: "too many applications are waiting", RetryAfter: time.Second,
}

// late says how many, from the front of the line, have waited for too long.
func (l *line) late(now time.Time) int {
	longest := burstWait
	if now.Sub(l.emptyAt) > burstWait {
		longest = standingWait
	}
	return sort.Search(len(l.waiting), func(i int) bool { return now.Sub(l.waiting[i].since) <= longest })
}

// kafkaIsBehind says that everybody who is admitted now would only wait for Kafka.
func (l *line) kafkaIsBehind(now time.Time) bool {
	crowd := l.limits.kafkaCrowd
	return l.winnersUnderWay >= mostCrowds*crowd || l.winnersUnderWay >= crowd && now.Sub(l.underWay[0].since) > kafkaWait
}

// holdBack waits until an application that came at since may be refused, or the client has left.
func holdBack(ctx context.Context, since time.Time) {
	timer := time.NewTimer(time.Until(since.Add(refusalAge)))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
