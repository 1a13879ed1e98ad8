//go:build browser

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// browser is a Chromium without a window, in which a test acts as an operator does.
type browser struct {
	t       *testing.T
	baseURL string
	ctx     context.Context
	// shots is the folder of the pictures.
	shots string

	mu sync.Mutex
	// faults are what no page may cause: dialogs, exceptions, and what the Content-Security-Policy refused.
	faults []string
}

func openBrowser(t *testing.T, baseURL string) *browser {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath("/usr/bin/chromium"), chromedp.NoSandbox, chromedp.UserDataDir(profileFolder(t)), chromedp.WSURLReadTimeout(patience),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.WindowSize(1280, 800),
	)
	allocated, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel := chromedp.NewContext(allocated)
	t.Cleanup(cancel)
	b := &browser{t: t, baseURL: baseURL, ctx: ctx, shots: os.Getenv("SCREENSHOTS")}
	if b.shots == "" {
		b.shots = t.TempDir()
	}
	require.NoError(t, os.MkdirAll(b.shots, 0o755))
	chromedp.ListenTarget(ctx, b.observe)
	require.NoError(t, chromedp.Run(ctx, cdplog.Enable(), page.Enable()))
	return b
}

// profileFolder gives a folder that is deleted after the test. Chromium's helpers write into it for a moment after it has
// ended, so that deleting it once is not enough.
func profileFolder(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "firstcome-browser-") //nolint:usetesting // t.TempDir deletes its folder once only
	require.NoError(t, err)
	t.Cleanup(func() {
		require.Eventually(t, func() bool { return os.RemoveAll(folder) == nil }, patience, tick, "the browser's folder is deleted")
	})
	return folder
}

func (b *browser) observe(event any) {
	switch e := event.(type) {
	case *page.EventJavascriptDialogOpening:
		b.fault("a dialog opened: " + e.Message)
	case *runtime.EventExceptionThrown:
		b.fault("an exception: " + e.ExceptionDetails.Error())
	case *cdplog.EventEntryAdded:
		if strings.Contains(e.Entry.Text, "Content Security Policy") {
			b.fault(e.Entry.Text)
		}
	}
}

func (b *browser) fault(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults = append(b.faults, text)
}

func (b *browser) requireNoFault() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	require.Empty(b.t, b.faults)
}

// do carries actions out; each has to be possible within the test's patience.
func (b *browser) do(what string, actions ...chromedp.Action) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	err := chromedp.Run(ctx, actions...)
	if err != nil {
		b.keep("failed")
	}
	require.NoError(b.t, err, what)
}

// ask evaluates an expression; while one page gives way to another, there is none in which to ask, and it asks again.
func (b *browser) ask(expression string, value any) {
	b.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		ctx, cancel := context.WithTimeout(b.ctx, patience)
		err := chromedp.Run(ctx, chromedp.Evaluate(expression, value))
		cancel()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			b.keep("failed")
			require.NoError(b.t, err, expression)
		}
		b.rest()
	}
}

// open goes to a page and waits until it is there.
func (b *browser) open(path string) {
	b.t.Helper()
	b.do("open "+path, chromedp.Navigate(b.baseURL+path), chromedp.WaitReady("main"))
}

// openUntil opens a page anew until something stands on it: what was changed a moment ago, or a page in whose place the
// console said at first that a store does not answer.
func (b *browser) openUntil(path, selector string) {
	b.t.Helper()
	b.open(path)
	b.eventually(selector+" stands on "+path, func() bool { return b.has(selector) }, true)
}

// has says whether an element is there.
func (b *browser) has(selector string) bool {
	b.t.Helper()
	var there bool
	b.ask(fmt.Sprintf("document.querySelector(%q) !== null", selector), &there)
	return there
}

// text gives the text of an element, "" while it is not there.
func (b *browser) text(selector string) string {
	b.t.Helper()
	var text string
	b.ask(fmt.Sprintf("document.querySelector(%q)?.innerText ?? ''", selector), &text)
	return text
}

// address gives the address of the page.
func (b *browser) address() string {
	b.t.Helper()
	var address string
	b.ask("location.href", &address)
	return address
}

// sees waits for words on the page; renew opens the page anew each time that they are not there.
func (b *browser) sees(selector string, words string, renew bool) {
	b.t.Helper()
	b.eventually(fmt.Sprintf("%q in %s", words, selector), func() bool { return strings.Contains(b.text(selector), words) }, renew)
}

// eventually waits until something is seen, and keeps a picture of the page that never showed it.
func (b *browser) eventually(what string, seen func() bool, renew bool) {
	b.t.Helper()
	deadline := time.Now().Add(patience)
	for !seen() {
		if time.Now().After(deadline) {
			b.keep("failed")
			require.FailNow(b.t, "it was never seen", "%s; the page says: %s", what, b.text("body"))
		}
		b.rest()
		if renew {
			b.do("reload", chromedp.Reload(), chromedp.WaitReady("main"))
		}
	}
}

func (b *browser) rest() { pass(b.t, 5*tick) }

// fill replaces what stands in a field.
func (b *browser) fill(selector, text string) {
	b.t.Helper()
	b.do("fill "+selector, chromedp.WaitVisible(selector, chromedp.ByQuery),
		chromedp.Evaluate(fmt.Sprintf("document.querySelector(%q).value = ''", selector), nil),
		chromedp.SendKeys(selector, text, chromedp.ByQuery))
}

// press clicks on something that leads to another page, or sends a form, and waits for that page.
func (b *browser) press(selector string) {
	b.t.Helper()
	b.do("mark the page", chromedp.Evaluate("window.before = true", nil))
	b.click(selector)
	require.Eventually(b.t, func() bool {
		var there bool // while the page changes, there is none in which to ask
		ask := chromedp.Evaluate("window.before === undefined && document.readyState === 'complete'", &there)
		return chromedp.Run(b.ctx, ask) == nil && there
	}, patience, tick, "the next page")
}

// click clicks on something. A click by the pointer can miss what a font that has just come moves.
func (b *browser) click(selector string) {
	b.t.Helper()
	b.do("click on "+selector, chromedp.WaitVisible(selector, chromedp.ByQuery), chromedp.WaitEnabled(selector, chromedp.ByQuery),
		chromedp.Evaluate(fmt.Sprintf("document.querySelector(%q).click()", selector), nil))
}

// button is the selector of a form's button.
func button(action string) string { return fmt.Sprintf(`form[action=%q] button`, action) }

var figureName = regexp.MustCompile(`[\d,]+`)

// figure gives a number of the page by the name beside it, -1 while it is not known.
func (b *browser) figure(place, name string) int {
	b.t.Helper()
	var text string
	b.ask(fmt.Sprintf(
		`[...document.querySelectorAll('%s dt')].find((e) => e.textContent === %q)?.nextElementSibling?.textContent ?? ''`, place, name), &text)
	return wholeNumber(text)
}

// wholeNumber reads the first number in a text, -1 where there is none.
func wholeNumber(text string) int {
	number := -1
	_, _ = fmt.Sscan(strings.ReplaceAll(figureName.FindString(text), ",", ""), &number)
	return number
}

// keep takes a picture of the page as it is.
func (b *browser) keep(name string) {
	b.t.Helper()
	var picture []byte
	if chromedp.Run(b.ctx, chromedp.FullScreenshot(&picture, 100)) == nil {
		require.NoError(b.t, os.WriteFile(filepath.Join(b.shots, name+".png"), picture, 0o600))
	}
}

// painted is fulfilled when the page's fonts are there and it was laid out twice: charts follow the first time.
const painted = `document.fonts.ready.then(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true)))))`

func awaited(parameters *runtime.EvaluateParams) *runtime.EvaluateParams {
	return parameters.WithAwaitPromise(true)
}

// picture takes the page light and dark, for a desk and for a phone, and requires that nothing stands out at the side.
func (b *browser) picture(name string) {
	b.t.Helper()
	for _, scheme := range []string{"light", "dark"} {
		for _, width := range []int64{1280, 390} {
			var surplus int
			b.do("picture of "+name,
				emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}),
				chromedp.EmulateViewport(width, 800), chromedp.Evaluate(painted, nil, awaited),
				chromedp.Evaluate("document.documentElement.scrollWidth - innerWidth", &surplus))
			b.keep(fmt.Sprintf("%s-%s-%d", name, scheme, width))
			require.LessOrEqual(b.t, surplus, 0, "%s is wider than a screen of %d", name, width)
		}
	}
	b.do("back to the desk", chromedp.EmulateViewport(1280, 800),
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "light"}}))
}

// requireHarmless asserts that a page runs nothing but its own scripts, and that what another program wrote is text.
func (b *browser) requireHarmless(path, selector, text string) {
	b.t.Helper()
	b.open(path)
	var foreign int
	b.ask(`[...document.scripts].filter((s) => !s.src.startsWith(location.origin + "/console/assets/") || s.textContent).length`, &foreign)
	require.Zero(b.t, foreign, "a script came into %s", path)
	require.Contains(b.t, b.text(selector), text)
}
