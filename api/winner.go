package api

import (
	"strconv"
	"time"

	"firstcome/admission"
	"firstcome/domain"
)

// appendWinner writes the body about one winner. Codes of campaigns and statuses need no escaping
// (domain.CheckCampaignCode).
func appendWinner(b []byte, winner *admission.Winner) []byte {
	b = append(b, `{"campaign":"`...)
	b = append(b, winner.Campaign...)
	b = append(b, `","user_id":"`...)
	b = strconv.AppendInt(b, int64(winner.UserID), 10)
	b = append(b, `","status":"`...)
	b = append(b, winner.Status...)
	b = append(b, '"')
	if winner.Slot > domain.NoSlot {
		b = append(b, `,"slot":`...)
		b = strconv.AppendInt(b, int64(winner.Slot), 10)
	}
	b = appendTime(b, `,"admitted_at":"`, winner.AdmittedAt)
	b = appendTime(b, `,"issued_at":"`, winner.IssuedAt)
	b = appendTime(b, `,"revoked_at":"`, winner.RevokedAt)
	if winner.Delayed {
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

// winnerLocation is where the status of a winner is asked for.
func winnerLocation(winner *admission.Winner) string {
	return "/v1/campaigns/" + winner.Campaign + "/coupons/" + winner.UserID.String()
}
