package api

import (
	"context"
	"encoding/csv"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"firstcome/domain"
)

const (
	// exportTimeout bounds one export, exportPageTimeout each page of it.
	exportTimeout     = 15 * time.Minute
	exportPageTimeout = 10 * time.Second
	// maxExports bounds the exports that one process writes at the same time.
	maxExports = 2
)

var errExports = domain.Errorf(domain.CodeOverloaded, "as many exports as this process writes at once are under way")

// export answers with CSV, page by page, so that it holds one page in memory. next gives a page's lines, and none at
// the end. The first page is read before anything is answered, so that a refusal is a problem as anywhere else. Whatever
// fails later breaks the connection off: a file that looks whole must be whole. An error means that nothing was answered.
func (s *Server) export(c *gin.Context, name string, header []string, next func(ctx context.Context) ([][]string, error)) error {
	select {
	case s.exports <- struct{}{}:
		defer func() { <-s.exports }()
	default:
		return errExports
	}
	ctx, cancel := context.WithTimeout(c.Request.Context(), exportTimeout)
	defer cancel()
	lines, err := readExportPage(ctx, next)
	if err != nil {
		return err
	}
	c.Header("Content-Type", "text/csv; charset=utf-8")
	c.Header("Content-Disposition", `attachment; filename="`+name+`"`)
	connection, out := http.NewResponseController(c.Writer), csv.NewWriter(c.Writer)
	c.Status(http.StatusOK)
	_ = out.Write(header) // a client that has gone shows at the flush
	for len(lines) > 0 {
		_ = connection.SetWriteDeadline(time.Now().Add(exportPageTimeout + adminTimeout))
		for _, line := range lines {
			_ = out.Write(harmlessCells(line))
		}
		out.Flush()
		if out.Error() == nil {
			lines, err = readExportPage(ctx, next)
		}
		if out.Error() != nil || err != nil {
			s.logger.Warn("an export broke off", "export", name, "error", err)
			panic(http.ErrAbortHandler)
		}
	}
	out.Flush()
	return nil
}

func readExportPage(ctx context.Context, next func(context.Context) ([][]string, error)) ([][]string, error) {
	ctx, cancel := context.WithTimeout(ctx, exportPageTimeout)
	defer cancel()
	return next(ctx)
}

// harmlessCells puts an apostrophe before what a spreadsheet would take for a formula: error texts and raw records come
// from outside.
func harmlessCells(line []string) []string {
	for i, cell := range line {
		if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
			line[i] = "'" + cell
		}
	}
	return line
}

func csvTime(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(time.RFC3339Nano)
}

func csvSlot(slot domain.Slot) string {
	if slot <= domain.NoSlot {
		return ""
	}
	return strconv.FormatInt(int64(slot), 10)
}

// adminExportCoupons answers GET /v1/admin/coupons.csv?campaign=.
func (s *Server) adminExportCoupons(c *gin.Context) {
	q := newQuery(c, "campaign")
	if q.campaign() == "" {
		q.refuse("campaign", "campaign must be given")
	}
	err := q.err
	if err == nil {
		err = s.exportCoupons(c, q.campaign())
	}
	if err != nil {
		s.refuse(c, err)
	}
}

// exportCoupons answers with a campaign's coupons as CSV. An error means that nothing was answered yet:
// CodeUnknownCampaign, CodeOverloaded, CodeUnavailable.
func (s *Server) exportCoupons(c *gin.Context, campaign string) error {
	header := []string{"campaign", "user_id", "slot", "status", "admitted_at", "issued_at", "revoked_at", "revoked_slot"}
	after, more := int64(0), true
	return s.export(c, campaign+"-coupons.csv", header, func(ctx context.Context) ([][]string, error) {
		if !more {
			return nil, nil
		}
		coupons, next, err := s.ports.CouponReader.Coupons(ctx, campaign, after, domain.MaxPage)
		after, more = next, next > 0
		lines := make([][]string, len(coupons))
		for i, coupon := range coupons {
			lines[i] = []string{
				coupon.Campaign, coupon.UserID.String(), csvSlot(coupon.Slot), string(viewCoupon(coupon).Status),
				csvTime(coupon.AdmittedAt), csvTime(coupon.IssuedAt), csvTime(coupon.RevokedAt), csvSlot(coupon.RevokedSlot),
			}
		}
		return lines, err
	})
}

// adminExportFailEvents answers GET /v1/admin/fail-events.csv with the filters of the list, newest first.
func (s *Server) adminExportFailEvents(c *gin.Context) {
	q := newQuery(c, failEventFilters...)
	filter, err := q.failEventFilter(), q.err
	if err == nil {
		err = s.exportFailEvents(c, filter)
	}
	if err != nil {
		s.refuse(c, err)
	}
}

// exportFailEvents answers with all fail events that match as CSV. An error means that nothing was answered yet:
// CodeInvalidRequest, CodeOverloaded, CodeUnavailable.
func (s *Server) exportFailEvents(c *gin.Context, filter domain.FailEventFilter) error {
	filter.Limit = domain.MaxPage
	header := []string{
		"id", "campaign", "user_id", "slot", "status", "reason", "error_message", "attempts", "created_at", "updated_at",
		"discarded_at", "topic", "partition", "offset", "raw_text",
	}
	more := true
	return s.export(c, "fail-events.csv", header, func(ctx context.Context) ([][]string, error) {
		if !more {
			return nil, nil
		}
		events, err := s.ports.FailEventReader.FailEvents(ctx, filter)
		more = len(events) == domain.MaxPage
		lines := make([][]string, len(events))
		for i, event := range events {
			filter.BeforeID = event.ID
			lines[i] = failEventLine(event)
		}
		return lines, err
	})
}

func failEventLine(event domain.FailEvent) []string {
	view := viewFailEvent(event)
	return []string{
		strconv.FormatInt(event.ID, 10), view.Campaign, view.UserID, csvSlot(view.Slot), string(view.Status), string(view.Reason),
		view.Error, strconv.Itoa(view.Attempts), csvTime(event.CreatedAt), csvTime(event.UpdatedAt), csvTime(event.DiscardedAt),
		view.Topic, strconv.Itoa(int(view.Partition)), strconv.FormatInt(view.Offset, 10), printable(event.Raw),
	}
}
