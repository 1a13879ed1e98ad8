package admission

import (
	"time"

	"firstcome/domain"
)

// Status says how far a winner's application has come.
type Status string

const (
	// StatusReserved says that the gate has a place for the user; Kafka, or the gate afterwards, did not confirm in time. It survives
	// everything but the loss of Redis.
	StatusReserved Status = "reserved"
	// StatusAccepted says that the record is in Kafka and an open gate knows the user. The coupon will come.
	StatusAccepted Status = "accepted"
	// StatusIssued says that the coupon is in the database.
	StatusIssued Status = "issued"
	// StatusRevoked says that an operator took the coupon back, and the user gets no other one.
	StatusRevoked Status = "revoked"
)

// Winner is what is told about one winner. A slot of 0 and zero times are not told.
type Winner struct {
	Campaign   string
	UserID     domain.UserID
	Slot       domain.Slot
	Status     Status
	AdmittedAt time.Time
	IssuedAt   time.Time
	RevokedAt  time.Time
	// Delayed is true while the winner's record could not be stored.
	Delayed bool
}

// winnerOf tells about an admission without its slot. Who is owed a slot has a fail event that waits for one.
func winnerOf(admission *domain.Admission, status Status) Winner {
	return Winner{
		Campaign: admission.Campaign, UserID: admission.UserID, Status: status, AdmittedAt: admission.AdmittedAt,
		Delayed: admission.Slot == domain.SlotOwed,
	}
}

// withSlot tells about an admission whose record is in Kafka and whose slot holds.
func withSlot(admission *domain.Admission) Winner {
	told := winnerOf(admission, StatusAccepted)
	told.Slot = max(admission.Slot, domain.NoSlot)
	return told
}
