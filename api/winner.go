package api

import (
	"strconv"
	"time"

	"firstcome/domain"
)

// What an applicant is told about an application.
const (
	statusReserved = "reserved"
	statusAccepted = "accepted"
	statusIssued   = "issued"
	statusRevoked  = "revoked"
)

// winnerView is the body about one winner. A slot of 0 and zero times are left out.
type winnerView struct {
	Campaign   string
	UserID     domain.UserID
	Slot       domain.Slot
	Status     string
	AdmittedAt time.Time
	IssuedAt   time.Time
	RevokedAt  time.Time
	// Delayed is true while the winner's record could not be stored.
	Delayed bool
}

// viewOf tells about an admission without its slot. Who is owed a slot has a fail event that waits for one.
func viewOf(admission *domain.Admission, status string) winnerView {
	return winnerView{
		Campaign: admission.Campaign, UserID: admission.UserID, Status: status, AdmittedAt: admission.AdmittedAt,
		Delayed: admission.Slot == domain.SlotOwed,
	}
}

// withSlot tells about an admission whose record is in Kafka and whose slot holds.
func withSlot(admission *domain.Admission) winnerView {
	view := viewOf(admission, statusAccepted)
	view.Slot = max(admission.Slot, domain.NoSlot)
	return view
}

// appendTo writes the body. Codes of campaigns and statuses need no escaping (domain.CheckCampaignCode).
func (v *winnerView) appendTo(b []byte) []byte {
	b = append(b, `{"campaign":"`...)
	b = append(b, v.Campaign...)
	b = append(b, `","user_id":"`...)
	b = strconv.AppendInt(b, int64(v.UserID), 10)
	b = append(b, `","status":"`...)
	b = append(b, v.Status...)
	b = append(b, '"')
	if v.Slot > domain.NoSlot {
		b = append(b, `,"slot":`...)
		b = strconv.AppendInt(b, int64(v.Slot), 10)
	}
	b = appendTime(b, `,"admitted_at":"`, v.AdmittedAt)
	b = appendTime(b, `,"issued_at":"`, v.IssuedAt)
	b = appendTime(b, `,"revoked_at":"`, v.RevokedAt)
	if v.Delayed {
		b = append(b, `,"delayed":true`...)
	}
	return append(b, '}')
}

func appendTime(b []byte, name string, at time.Time) []byte {
	if at.IsZero() {
		return b
	}
	b = append(b, name...)
	b = at.UTC().AppendFormat(b, time.RFC3339Nano)
	return append(b, '"')
}

// location is where the status of a winner is asked for.
func (v *winnerView) location() string {
	return "/v1/campaigns/" + v.Campaign + "/coupons/" + v.UserID.String()
}
