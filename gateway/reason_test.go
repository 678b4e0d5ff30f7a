package gateway_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"tapward/gateway"
)

// TestEveryReasonHasASentence looks for the reasons that any package of the product declares: none may reach a nurse or a
// phone's screen as a bare code.
func TestEveryReasonHasASentence(t *testing.T) {
	for code, where := range reasons(t, "..") {
		s := code.Sentence()
		if s == string(code) {
			t.Errorf("%s: the reason %q has no sentence", where, code)
		} else if !strings.HasSuffix(s, ".") || len(s) > 120 {
			t.Errorf("%s: the sentence of %q must end with a full stop and fit a phone's screen: %q", where, code, s)
		}
	}
}

// reasons are all constants of type Reason below root, and where each is declared.
func reasons(t *testing.T, root string) map[gateway.Reason]string {
	found := map[gateway.Reason]string{}
	files := token.NewFileSet()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || !isReason(spec.Type) {
				return true
			}
			for _, v := range spec.Values {
				if lit, ok := v.(*ast.BasicLit); ok && lit.Kind == token.STRING {
					code, err := strconv.Unquote(lit.Value)
					if err != nil {
						t.Fatal(err)
					}
					found[gateway.Reason(code)] = files.Position(lit.Pos()).String()
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, known := range []gateway.Reason{gateway.UnknownBadge, "log-forked", "stale-challenge"} {
		if found[known] == "" {
			t.Fatalf("%q was not found: this test looks in the wrong place", known)
		}
	}
	return found
}

func isReason(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name == "Reason"
	case *ast.SelectorExpr:
		return e.Sel.Name == "Reason"
	}
	return false
}
