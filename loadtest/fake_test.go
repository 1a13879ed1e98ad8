package loadtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testToken = "test-token"

// row is one entry of either operators' list, as JSON.
type row map[string]any

// fake is a firstcome that holds everything in memory. Its hooks make it lie; without them it is correct.
type fake struct {
	mutex     sync.Mutex
	campaigns map[string]int64
	slots     map[string]int64
	order     []string
	polls     int

	// beforeApply may answer in place of the fake; it then returns true.
	beforeApply func(w http.ResponseWriter, r *http.Request, user string) bool
	// promise changes what an admitted user is told.
	promise func(body row)
	// refuse is told of each user who is refused.
	refuse func(user string)
	// coupons changes what operators see; failEvents makes fail events of the coupons there would be.
	coupons    func(rows []row) []row
	failEvents func(rows []row) []row
	// settled and closedPolls hold back what is waited for.
	settled     func() bool
	closedPolls int
	// statusProblem is answered instead of a status, to the first badPolls who ask.
	statusProblem func(w http.ResponseWriter)
	badPolls      int
	// listName is what the rows of a list stand under; its own name when empty.
	listName string
	// endless gives every page the same cursor.
	endless bool
}

func newFake() *fake {
	return &fake{campaigns: map[string]int64{}, slots: map[string]int64{}}
}

// start serves the fake until the test ends and gives its address.
func (f *fake) start(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(f.handler())
	t.Cleanup(server.Close)
	return server.URL
}

func (f *fake) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/admin/campaigns", f.admin(f.create))
	mux.HandleFunc("GET /v1/campaigns/{code}", f.status)
	mux.HandleFunc("POST /v1/campaigns/{code}/apply", f.apply)
	mux.HandleFunc("GET /v1/admin/coupons", f.admin(f.listCoupons))
	mux.HandleFunc("GET /v1/admin/fail-events", f.admin(f.listFailEvents))
	return mux
}

func (f *fake) admin(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+testToken {
			problem(w, http.StatusUnauthorized, "unauthorized")
			return
		}
		f.mutex.Lock()
		defer f.mutex.Unlock()
		next(w, r)
	}
}

func problem(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"type":"urn:firstcome:problem:%s","status":%d,"detail":"because"}`, code, status)
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func (f *fake) create(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Code     string `json:"code"`
		Quota    int64  `json:"quota"`
		StartsAt string `json:"starts_at"`
		EndsAt   string `json:"ends_at"`
	}
	if json.NewDecoder(r.Body).Decode(&body) != nil || body.StartsAt >= body.EndsAt {
		problem(w, http.StatusBadRequest, "invalid-request")
		return
	}
	if _, taken := f.campaigns[body.Code]; taken {
		problem(w, http.StatusConflict, "conflict")
		return
	}
	f.campaigns[body.Code] = body.Quota
	answer(w, http.StatusCreated, row{"code": body.Code})
}

func (f *fake) status(w http.ResponseWriter, r *http.Request) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	quota, known := f.campaigns[r.PathValue("code")]
	if !known {
		problem(w, http.StatusNotFound, "unknown-campaign")
		return
	}
	f.polls++
	if f.polls <= f.badPolls {
		f.statusProblem(w)
		return
	}
	gate := "open"
	if f.polls <= f.closedPolls {
		gate = "closed"
	}
	answer(w, http.StatusOK, row{"quota": quota, "gate": gate, "settled": f.settled == nil || f.settled()})
}

func (f *fake) apply(w http.ResponseWriter, r *http.Request) {
	var body struct {
		UserID string `json:"user_id"`
	}
	if json.NewDecoder(r.Body).Decode(&body) != nil {
		problem(w, http.StatusBadRequest, "invalid-request")
		return
	}
	if f.beforeApply != nil && f.beforeApply(w, r, body.UserID) {
		return
	}
	slot, status := f.admit(body.UserID, f.quota(r.PathValue("code")))
	if slot == 0 {
		problem(w, http.StatusConflict, "sold-out")
		return
	}
	promised := row{"campaign": r.PathValue("code"), "user_id": body.UserID, "slot": slot, "status": "accepted"}
	if f.promise != nil {
		f.promise(promised)
	}
	answer(w, status, promised)
}

func (f *fake) quota(code string) int64 {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	return f.campaigns[code]
}

// admit gives the user's slot and the status of the answer; slot 0 is sold out.
func (f *fake) admit(user string, quota int64) (slot int64, status int) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if slot, known := f.slots[user]; known {
		return slot, http.StatusOK
	}
	if int64(len(f.order)) >= quota {
		if f.refuse != nil {
			f.refuse(user)
		}
		return 0, 0
	}
	f.order = append(f.order, user)
	f.slots[user] = int64(len(f.order))
	return f.slots[user], http.StatusAccepted
}

func (f *fake) issued() []row {
	rows := make([]row, 0, len(f.order))
	for _, user := range f.order {
		rows = append(rows, row{"user_id": user, "slot": f.slots[user], "revoked_at": nil})
	}
	return rows
}

func (f *fake) listCoupons(w http.ResponseWriter, r *http.Request) {
	rows := f.issued()
	if f.coupons != nil {
		rows = f.coupons(rows)
	}
	f.page(w, r, "coupons", rows)
}

func (f *fake) listFailEvents(w http.ResponseWriter, r *http.Request) {
	rows := []row{}
	if f.failEvents != nil {
		rows = f.failEvents(f.issued())
	}
	f.page(w, r, "fail_events", rows)
}

// page answers at most 40 rows, so that tests with a hundred coupons need several pages.
func (f *fake) page(w http.ResponseWriter, r *http.Request, name string, rows []row) {
	if f.endless {
		answer(w, http.StatusOK, row{name: rows, "next_cursor": "7"})
		return
	}
	from, _ := strconv.Atoi(r.URL.Query().Get("cursor"))
	to := min(from+40, len(rows))
	body := row{orDefault(f.listName, name): append([]row{}, rows[from:to]...)}
	if to < len(rows) {
		body["next_cursor"] = strconv.Itoa(to)
	}
	answer(w, http.StatusOK, body)
}
