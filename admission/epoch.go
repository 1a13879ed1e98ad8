package admission

import (
	"sync/atomic"
	"time"

	"firstcome/domain"
)

// ledgerEpoch is a campaign's epoch as this process has read it last in the ledger, where each rebuild raises it before
// anything else. A gate that answers under an older one is about to be rebuilt, or it stands on a Redis that is no longer
// the primary and to which this process still has a connection: what it says is not believed, whatever it is.
type ledgerEpoch struct{ latest atomic.Int64 }

func (e *ledgerEpoch) learn(epoch int64) { e.latest.Store(epoch) }

// isAfter says whether the ledger is beyond the epoch of an answer. A nil one knows nothing.
func (e *ledgerEpoch) isAfter(epoch int64) bool { return e != nil && epoch < e.latest.Load() }

var errOutdated = &domain.Error{
	Code: domain.CodeGateClosed, RetryAfter: time.Second,
	Message: "the gate that answers is older than the ledger, and is closed until it is rebuilt",
}
