package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/crashpoint"
)

// crash is one death: the role's process ends at the point, the hit-th time it comes there (the first, if hit is 0).
type crash struct {
	point crashpoint.Point
	role  string
	hit   int
	// lead has the process come to the point once arm was called; without it the load does.
	lead func(w *crashWorld, arm func())
	// heal undoes what lead did, once the process runs again.
	heal func(w *crashWorld)
}

// crashGroup is a row of crashes of one world. Each group has servers of its own, so that groups run side by side.
type crashGroup struct {
	name    string
	crashes []crash
}

func crashGroups() []crashGroup {
	return []crashGroup{
		{"application", applicationCrashes()},
		{"consumer", consumerCrashes()},
		{"retryer", retryerCrashes()},
		{"rebuild", rebuildCrashes()},
	}
}

func TestAProcessThatDiesBetweenAnyTwoStepsBreaksNoPromise(t *testing.T) {
	t.Parallel()
	for _, group := range crashGroups() {
		t.Run(group.name, func(t *testing.T) {
			t.Parallel()
			w := newCrashWorld(t)
			for number, one := range group.crashes {
				passed := t.Run(fmt.Sprintf("%d %s", number+1, one.point), func(t *testing.T) {
					w.in(t)
					w.crash(one)
				})
				if !passed {
					return // what comes next would fail of this
				}
			}
			w.in(t)
			w.requireExactlyQuota()
		})
	}
}

// crash lets a process die under load and start again, and requires that everything comes to its end.
func (w *crashWorld) crash(one crash) {
	stop := w.startLoad()
	w.t.Cleanup(stop)
	arm := func() { w.arm(one.role, fmt.Sprintf("%s:%d", one.point, max(one.hit, 1))) }
	if one.lead == nil {
		arm()
	} else {
		one.lead(w, arm)
	}
	w.awaitDeath(one.role, one.point)
	if one.heal != nil {
		one.heal(w)
	}
	stop()
	w.requireAtRest(w.campaign)
}

func TestEveryCrashPointOfTheListIsPassedAtOnePlaceAndTried(t *testing.T) {
	listed := crashPointsListed(t)
	passed := crashPointsPassed(t)
	tried := map[string]bool{}
	for _, group := range crashGroups() {
		for _, one := range group.crashes {
			tried[string(one.point)] = true
		}
	}
	for name, value := range listed {
		assert.Len(t, passed[name], 1, "crashpoint.%s is to be passed at one place", name)
		assert.True(t, tried[value], "no test dies at crashpoint.%s", name)
	}
	for name, places := range passed {
		assert.Contains(t, listed, name, "%v: what is passed is to be a constant of the list", places)
	}
	assert.Len(t, tried, len(listed), "two constants of the list say the same")
}

// crashPointsListed gives name and value of each constant.
func crashPointsListed(t *testing.T) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "crashpoint/crashpoint.go", nil, 0)
	require.NoError(t, err)
	listed := map[string]string{}
	ast.Inspect(file, func(node ast.Node) bool {
		spec, isValue := node.(*ast.ValueSpec)
		if !isValue {
			return true
		}
		if kind, named := spec.Type.(*ast.Ident); named && kind.Name == "Point" {
			listed[spec.Names[0].Name], err = strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			require.NoError(t, err)
		}
		return true
	})
	require.NotEmpty(t, listed)
	return listed
}

// crashPointsPassed gives, for each constant (or whatever else stands there), where Reach is called with it.
func crashPointsPassed(t *testing.T) map[string][]string {
	t.Helper()
	passed := map[string][]string{}
	for _, folder := range goFolders(t) {
		paths, err := filepath.Glob(filepath.Join(folder, "*.go"))
		require.NoError(t, err)
		for _, path := range paths {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			files := token.NewFileSet()
			file, err := parser.ParseFile(files, path, nil, 0)
			require.NoError(t, err)
			ast.Inspect(file, func(node ast.Node) bool {
				if call, isCall := node.(*ast.CallExpr); isCall && nameOf(call.Fun) == "crashpoint.Reach" {
					name := strings.TrimPrefix(nameOf(call.Args[0]), "crashpoint.")
					passed[name] = append(passed[name], files.Position(call.Pos()).String())
				}
				return true
			})
		}
	}
	return passed
}

// nameOf gives package.Name, and what it is instead of anything else.
func nameOf(expression ast.Expr) string {
	if selector, ok := expression.(*ast.SelectorExpr); ok {
		if of, ok := selector.X.(*ast.Ident); ok {
			return of.Name + "." + selector.Sel.Name
		}
	}
	return fmt.Sprintf("%T", expression)
}

func TestNoCrashPointIsLeftInAnOrdinaryBuildOrARelease(t *testing.T) {
	for tags, file := range map[string]string{
		"": "off.go", "release": "off.go", "release,crashpoints": "off.go", "crashpoints": "on.go",
	} {
		files, err := exec.CommandContext(t.Context(), "go", "list", "-tags", tags, "-f", "{{.GoFiles}}", "./crashpoint").CombinedOutput()
		require.NoError(t, err, string(files))
		assert.Equal(t, "[crashpoint.go "+file+"]", strings.TrimSpace(string(files)), "tags %s", tags)
	}
	for path, has := range map[string]bool{plainBuild.binary(t): false, crashBuild.binary(t): true} {
		program, err := os.ReadFile(path)
		require.NoError(t, err)
		for _, trace := range []string{"rebuild.gaps-" + "written", "firstcome/crashpoint." + "die"} {
			assert.Equal(t, has, bytes.Contains(program, []byte(trace)), "%s in %s", trace, path)
		}
	}
}
