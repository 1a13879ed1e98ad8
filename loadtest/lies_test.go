package loadtest

import (
	"bytes"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEachLieIsFound(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		lie  func(*fake)
		want DifferenceKind
	}{
		"a winner is lost": {
			lie:  func(f *fake) { f.coupons = func(rows []row) []row { return rows[:len(rows)-1] } },
			want: LostAccepted,
		},
		"a reservation is lost": {
			lie: func(f *fake) {
				f.promise = func(body row) { body["status"] = "reserved"; delete(body, "slot") }
				f.coupons = func(rows []row) []row { return rows[:len(rows)-1] }
			},
			want: LostReserved,
		},
		"another slot is issued": {
			lie: func(f *fake) {
				f.coupons = func(rows []row) []row {
					rows[0]["slot"], rows[1]["slot"] = rows[1]["slot"], rows[0]["slot"]
					return rows
				}
			},
			want: OtherSlot,
		},
		"a refused user gets a coupon": {
			lie: func(f *fake) {
				var refused string
				f.refuse = func(user string) { refused = user }
				f.coupons = func(rows []row) []row { return append(rows, row{"user_id": refused, "slot": 101}) }
			},
			want: IssuedToRefused,
		},
		"a stranger gets a coupon": {
			lie: func(f *fake) {
				f.coupons = func(rows []row) []row { return append(rows, row{"user_id": "99999", "slot": 101}) }
			},
			want: IssuedToStranger,
		},
		"more coupons than the quota": {
			lie: func(f *fake) {
				f.coupons = func(rows []row) []row { return append(rows, row{"user_id": "99999", "slot": 101}) }
			},
			want: OverQuota,
		},
		"a quota that grew on its own": {
			lie: func(f *fake) {
				f.refuse = func(string) {
					for code := range f.campaigns {
						f.campaigns[code] = 101
					}
				}
			},
			want: OverQuota,
		},
		"a slot twice": {
			lie:  func(f *fake) { f.promise = func(body row) { body["slot"] = 7 }; f.coupons = allSlots(7) },
			want: SlotTwice,
		},
		"a user twice": {
			lie:  func(f *fake) { f.coupons = func(rows []row) []row { return append(rows, rows[0]) } },
			want: UserTwice,
		},
		"a gap": {
			lie: func(f *fake) {
				f.promise = func(body row) { delete(body, "slot") }
				f.coupons = func(rows []row) []row { rows[99]["slot"] = 200; return append(rows[:41:41], rows[42:]...) }
			},
			want: SlotGap,
		},
		"sold out too early": {
			lie: func(f *fake) {
				f.beforeApply = func(w http.ResponseWriter, _ *http.Request, user string) bool {
					if user == "7" {
						problem(w, http.StatusConflict, "sold-out")
					}
					return user == "7"
				}
			},
			want: FalseSoldOut,
		},
		"answers change places": {
			lie:  func(f *fake) { f.promise = func(body row) { body["user_id"] = "99999" } },
			want: WrongUser,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newFake()
			test.lie(server)
			cfg := configFor(server.start(t))
			cfg.Users = 120
			if test.want == FalseSoldOut {
				cfg.Users = 50
			}
			var out bytes.Buffer
			report, err := Run(t.Context(), cfg, &out)
			require.NoError(t, err)
			assert.Contains(t, kinds(report), test.want)
			assert.Contains(t, out.String(), string(test.want)+": ")
		})
	}
}

func allSlots(slot int) func([]row) []row {
	return func(rows []row) []row {
		for _, each := range rows {
			each["slot"] = slot
		}
		return rows
	}
}

func TestAPromiseInAFailEventIsDelayedAndNoDifference(t *testing.T) {
	t.Parallel()
	server := newFake()
	server.coupons = func(rows []row) []row { return rows[1:] }
	server.failEvents = func(rows []row) []row {
		return []row{{"id": 1, "user_id": rows[0]["user_id"], "slot": 1, "status": "DEAD", "discarded_at": nil}}
	}
	var out bytes.Buffer
	report, err := Run(t.Context(), configFor(server.start(t)), &out)
	require.NoError(t, err)
	assert.Empty(t, report.Differences)
	assert.Equal(t, 1, report.Delayed)
	assert.Contains(t, out.String(), "1 promises wait in fail events")
}

func TestADiscardedFailEventHoldsNoPromise(t *testing.T) {
	t.Parallel()
	server := newFake()
	server.coupons = func(rows []row) []row { return rows[1:] }
	server.failEvents = func(rows []row) []row {
		return []row{{"user_id": rows[0]["user_id"], "status": "DEAD", "discarded_at": "2026-01-02T03:04:05Z"}}
	}
	report, err := Run(t.Context(), configFor(server.start(t)), &bytes.Buffer{})
	require.NoError(t, err)
	assert.Contains(t, kinds(report), LostAccepted)
}

func TestARevokedCouponKeepsThePromise(t *testing.T) {
	t.Parallel()
	server := newFake()
	server.coupons = func(rows []row) []row {
		rows[0] = row{"user_id": rows[0]["user_id"], "revoked_slot": 1, "revoked_at": "2026-01-02T03:04:05Z"}
		return rows
	}
	report, err := Run(t.Context(), configFor(server.start(t)), &bytes.Buffer{})
	require.NoError(t, err)
	assert.Empty(t, report.Differences)
	assert.Equal(t, 1, report.Revoked)
	assert.Equal(t, 99, report.Issued)
}
