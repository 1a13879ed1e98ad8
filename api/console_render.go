package api

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"maps"
	"mime"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"firstcome/domain"
)

//go:embed console
var consoleFiles embed.FS

// consoleTemplates are the pages by name, each with the layout and the parts that all share.
var consoleTemplates = parsePages()

// assetVersions are short hashes of the files, which stand in their addresses: a browser may keep a file as long as it likes, and
// gets the new one after an upgrade.
var assetVersions = hashAssets()

func parsePages() map[string]*template.Template {
	shared := template.Must(template.New("").Funcs(pageFunctions).ParseFS(consoleFiles, "console/pages/shared/*.html"))
	names, err := fs.Glob(consoleFiles, "console/pages/*.html")
	if err != nil {
		panic(err)
	}
	pages := make(map[string]*template.Template, len(names))
	for _, name := range names {
		page := template.Must(template.Must(shared.Clone()).ParseFS(consoleFiles, name))
		pages[strings.TrimSuffix(path.Base(name), ".html")] = page
	}
	return pages
}

func hashAssets() map[string]string {
	versions := map[string]string{}
	err := fs.WalkDir(consoleFiles, "console/assets", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := consoleFiles.ReadFile(name)
		sum := sha256.Sum256(content)
		versions[strings.TrimPrefix(name, "console/assets/")] = hex.EncodeToString(sum[:6])
		return err
	})
	if err != nil {
		panic(err)
	}
	return versions
}

// asset answers with a file of the console. These hold nothing of anybody, so they need no session.
func (s *Server) asset(c *gin.Context) {
	name := strings.TrimPrefix(c.Param("file"), "/")
	version, known := assetVersions[name]
	if !known {
		s.refuse(c, domain.Errorf(domain.CodeNotFound, "there is nothing at this address"))
		return
	}
	content, _ := consoleFiles.ReadFile("console/assets/" + name) // it is among those that were hashed
	if c.Query("v") == version {
		c.Header("Cache-Control", "public, max-age=31536000, immutable")
	}
	kind := mime.TypeByExtension(path.Ext(name))
	if path.Ext(name) == ".woff2" {
		kind = "font/woff2"
	}
	c.Data(http.StatusOK, kind, content)
}

// pageFunctions are what templates call.
var pageFunctions = template.FuncMap{
	"asset": func(name string) (string, error) {
		version, known := assetVersions[name]
		if !known {
			return "", fmt.Errorf("there is no asset %s", name)
		}
		return "/console/assets/" + name + "?v=" + version, nil
	},
	"count":     func(value any) string { return grouped(fmt.Sprint(value)) },
	"instant":   newInstant,
	"seconds":   func(length float64) string { return spanText(time.Duration(length * float64(time.Second))) },
	"lower":     func(value any) string { return strings.ToLower(fmt.Sprint(value)) },
	"join":      strings.Join,
	"entry":     newMenuEntry,
	"field":     newFormField,
	"figure":    newFigure,
	"rate":      rateText,
	"perSecond": perSecond,
}

// menuEntry is a line of the menu.
type menuEntry struct {
	Path, Text string
	Here       bool
}

func newMenuEntry(section, own, address, text string) menuEntry {
	return menuEntry{Path: address, Text: text, Here: section == own}
}

// formField is one field of a form with its label and what stands below it: a hint, or what is wrong. Kind is text, number or
// time.
type formField struct{ Name, Label, Value, Hint, Kind, Error string }

func newFormField(form interface{ errorOf(field string) string }, name, label, value, hint, kind string) formField {
	return formField{Name: name, Label: label, Value: value, Hint: hint, Kind: kind, Error: form.errorOf(name)}
}

// figureView is a number with its name. Class is how it looks: "" plainly, "zero" for nothing, else a warning.
type figureView struct{ Name, Text, Class, Unit string }

// newFigure shows a number, or a text as it is. An unknown one is a dash; the class is for one that is not 0.
func newFigure(name string, value any, class, unit string) figureView {
	figure := figureView{Name: name, Class: class, Unit: unit}
	digits := fmt.Sprint(value)
	number, err := strconv.ParseInt(digits, 10, 64)
	switch {
	case err != nil:
		figure.Text, figure.Class = digits, "words"
	case number == unknown:
		figure.Text, figure.Class, figure.Unit = "–", "zero", ""
	case number == 0:
		figure.Text, figure.Class = "0", "zero"
	default:
		figure.Text = grouped(digits)
	}
	return figure
}

// rateText writes a rate with as many digits as mean something.
func rateText(rate float64) string {
	if rate > 0 && rate < 10 {
		return strconv.FormatFloat(rate, 'f', 1, 64)
	}
	return grouped(strconv.FormatInt(int64(rate+0.5), 10))
}

// perSecond is a rate beside a count; one that is unknown or 0 is not worth a word.
func perSecond(rate float64) string {
	if rate <= 0 {
		return ""
	}
	return rateText(rate) + "/s"
}

// grouped writes a whole number with a comma after each three digits. It works on the digits, so no number is too large.
func grouped(digits string) string {
	unsigned := strings.TrimPrefix(digits, "-")
	sign := digits[:len(digits)-len(unsigned)]
	var parts []string
	for len(unsigned) > 3 {
		parts = append([]string{unsigned[len(unsigned)-3:]}, parts...)
		unsigned = unsigned[:len(unsigned)-3]
	}
	return sign + strings.Join(append([]string{unsigned}, parts...), ",")
}

// instantView is a moment as pages show it: in UTC until a script turns it into the reader's zone.
type instantView struct{ Machine, Text string }

// newInstant gives nil for a time that is not known, and for the end that a campaign without an end has.
func newInstant(at any) *instantView {
	moment, ok := at.(time.Time)
	if pointer, isPointer := at.(*time.Time); isPointer && pointer != nil {
		moment, ok = *pointer, true
	}
	if !ok || moment.IsZero() || moment.Equal(domain.NoEnd) {
		return nil
	}
	return &instantView{Machine: moment.UTC().Format(time.RFC3339Nano), Text: moment.UTC().Format("2006-01-02 15:04:05") + " UTC"}
}

// spanText writes a length of time as a person says it.
func spanText(length time.Duration) string {
	switch {
	case length < 0:
		return "0 s"
	case length < time.Second:
		return strconv.FormatInt(length.Milliseconds(), 10) + " ms"
	case length < 2*time.Minute:
		return strconv.FormatInt(int64(length.Round(time.Second)/time.Second), 10) + " s"
	case length < 2*time.Hour:
		return strconv.FormatInt(int64(length.Round(time.Minute)/time.Minute), 10) + " min"
	}
	return strconv.FormatInt(int64(length.Round(time.Hour)/time.Hour), 10) + " h"
}

// consolePage is what every page is made of.
type consolePage struct {
	Title, Page string
	// Section is the entry of the menu that the page belongs to.
	Section  string
	Operator domain.Operator
	Note     string
	Version  string
	Data     any
}

// MayChange says whether buttons are shown.
func (p consolePage) MayChange() bool { return p.Operator.MayChange() }

// sections says under which entry of the menu a page stands.
var sections = map[string]string{
	"home": "campaigns", "campaign": "campaigns", "campaign_form": "campaigns", "coupons": "campaigns",
	"fail_events": "fail-events", "fail_event": "fail-events", "bulk_job": "fail-events",
	"bulk_result": "fail-events", "pipeline": "pipeline", "users": "users", "audit": "audit", "actions": "actions",
}

// render answers with a page. It is made whole before the first byte is sent: no half page looks like a whole one.
func (k *console) render(c *gin.Context, status int, name, title string, data any) {
	k.write(c, status, name, "layout", consolePage{
		Title: title, Page: name, Section: sections[name], Operator: operatorOf(c), Version: k.server.cfg.Version,
		Note: notes[c.Query("note")], Data: data,
	})
}

// fragment answers with a part of a page, for a script that puts it in place.
func (k *console) fragment(c *gin.Context, name, block string, data any) {
	k.write(c, http.StatusOK, name, block, consolePage{Operator: operatorOf(c), Data: data})
}

func (k *console) write(c *gin.Context, status int, name, block string, page consolePage) {
	var body bytes.Buffer
	if err := consoleTemplates[name].ExecuteTemplate(&body, block, page); err != nil {
		k.server.refuse(c, domain.Wrap(domain.CodeInternal, err, "the page could not be made"))
		return
	}
	c.Data(status, "text/html; charset=utf-8", body.Bytes())
}

// fail answers with a page that says what went wrong, or puts that above the page from which a script asked.
func (k *console) fail(c *gin.Context, err error) {
	refusal, kind := asProblem(err)
	if refusal.Status == http.StatusInternalServerError {
		k.server.logger.Error("a page of the console failed", "method", c.Request.Method, "route", c.FullPath(), "error", err)
	}
	if wait := retryAfter(err, kind); wait != "" {
		c.Header("Retry-After", wait)
	}
	c.Abort()
	if c.GetHeader("HX-Request") != "" {
		c.Header("HX-Retarget", "#messages")
		c.Header("HX-Reswap", "innerHTML")
		k.write(c, refusal.Status, "error", "message", consolePage{Data: refusal})
		return
	}
	k.render(c, refusal.Status, "error", refusal.Title, refusal)
}

// fieldErrors says what is wrong with which field of a form; "" stands for the form as a whole.
type fieldErrors map[string]string

// fieldError is what is wrong with one field.
type fieldError struct{ Field, Text string }

// inOrder lists what is wrong in the order of the fields; what is wrong with others comes last, in that of their names.
func (e fieldErrors) inOrder(fields ...string) []fieldError {
	var list []fieldError
	for _, field := range slices.Concat(fields, slices.Sorted(maps.Keys(e))) {
		one := fieldError{field, e[field]}
		if one.Text != "" && !slices.Contains(list, one) {
			list = append(list, one)
		}
	}
	return list
}

// add notes what an error says of a field, unless something is known to be wrong with it already.
func (e fieldErrors) add(err error) {
	if coded, ok := errors.AsType[*domain.Error](err); ok && e[coded.Field] == "" {
		e[coded.Field] = coded.Message
	}
}

// refusal gives all that is wrong as one error, in the order of the fields; nil when nothing is.
func (e fieldErrors) refusal(fields ...string) error {
	list := e.inOrder(fields...)
	if len(list) == 0 {
		return nil
	}
	texts := make([]string, len(list))
	for i, one := range list {
		texts[i] = strings.ReplaceAll(one.Field, "_", " ") + ": " + one.Text
	}
	return domain.Invalid(list[0].Field, "%s", strings.Join(texts, " "))
}

// inField tells an error that a form shows beside a field from one that needs a page of its own.
func inField(err error) (fieldErrors, bool) {
	coded, ok := errors.AsType[*domain.Error](err)
	if !ok || coded.Code != domain.CodeInvalidRequest && coded.Code != domain.CodeConflict {
		return nil, false
	}
	return fieldErrors{coded.Field: coded.Message}, true
}

// notes are what a page says after a step that led to it. The address names one of them and holds no text.
var notes = map[string]string{
	"created":   "The campaign was created. Its gate opens within a second or two.",
	"changed":   "The change was saved. The gate follows within a second or two.",
	"paused":    "The campaign is paused: nobody is admitted. Those admitted before get their coupons.",
	"resumed":   "The campaign is open again.",
	"ended":     "The campaign has ended for good.",
	"retried":   "The event is due now; a retryer takes it within a second or so.",
	"discarded": "The event was discarded.",
	"throttled": "The throttle was changed; every consumer follows within a few seconds.",
	"held":      "All consumers pause within a few seconds. Winners wait in Kafka; nothing is lost.",
	"released":  "All consumers go on within a few seconds.",
	"run":       "Retryers run their jobs within a few seconds.",
	"audited":   "The audit was run.",
	"revoked":   "The coupon was revoked. Its slot goes to the next new applicant.",
}
