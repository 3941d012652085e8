package house

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// imports maps each room to the import paths of its files that are not tests.
func imports(t *testing.T) map[string][]string {
	t.Helper()
	root := filepath.Join("..", "..")
	rooms := map[string][]string{}
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); d.IsDir() && (name == "testdata" || strings.HasPrefix(name, ".") && name != "..") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		rel, err := filepath.Rel(root, filepath.Dir(file))
		if err != nil {
			return err
		}
		room := strings.TrimPrefix(filepath.ToSlash(rel), ".")
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		rooms[room] = append(rooms[room], "")
		for _, spec := range parsed.Imports {
			p, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			rooms[room] = append(rooms[room], p)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(rooms) < 5 {
		t.Fatalf("only %d rooms found: the test looks in the wrong place", len(rooms))
	}
	return rooms
}

// tool reports whether a room is a program of the developers' own, which may
// import what it measures.
func tool(room string) bool {
	_, floor := floors[room]
	return strings.HasPrefix(room, "internal/") && !floor
}

func TestEveryRoomHasAFloorAndImportsOnlyLowerOnes(t *testing.T) {
	for room, paths := range imports(t) {
		if tool(room) {
			continue
		}
		floor, ok := floors[room]
		if !ok {
			t.Errorf("room %q is not in the floor table: add it with a floor", room)
			continue
		}
		for _, p := range paths {
			if p != module && !strings.HasPrefix(p, module+"/") {
				continue
			}
			other := strings.TrimPrefix(strings.TrimPrefix(p, module), "/")
			if tool(other) {
				t.Errorf("%s imports %s, which is a tool for developers", room, other)
			}
			if _, allowed := sameFloor[[2]string{room, other}]; allowed || floors[other] < floor {
				continue
			}
			t.Errorf("%s (floor %d) imports %s (floor %d): only lower floors may be imported", room, floor, other, floors[other])
		}
	}
}

func TestAParentNeverImportsItsChildren(t *testing.T) {
	for room, paths := range imports(t) {
		for _, p := range paths {
			other, ours := strings.CutPrefix(p, module+"/")
			if _, allowed := ownChild[[2]string{room, other}]; ours && room != "" && strings.HasPrefix(other, room+"/") && !allowed {
				t.Errorf("%s imports its child %s: a folder's root package is vocabulary", room, other)
			}
		}
	}
}

func TestBannedImportsStayOut(t *testing.T) {
	for room, paths := range imports(t) {
		for _, b := range bans {
			if !within(room, b.room) || slices.Contains(b.except, room) {
				continue
			}
			for _, p := range paths {
				if i := slices.IndexFunc(b.imports, func(banned string) bool { return matches(p, banned) }); i >= 0 {
					t.Errorf("%s imports %s: %s", room, p, b.reason)
				}
			}
		}
	}
}

func TestEachGiantHasOneHome(t *testing.T) {
	for room, paths := range imports(t) {
		if tool(room) {
			continue
		}
		for _, p := range paths {
			for giant, home := range homes {
				if within(p, giant) && !slices.Contains(home, room) {
					t.Errorf("%s imports %s, whose home is %v", room, p, home)
				}
			}
		}
	}
}

// TestTheTableNamesOnlyRoomsThatExist keeps the table from rotting.
func TestTheTableNamesOnlyRoomsThatExist(t *testing.T) {
	rooms := map[string]string{}
	for room := range floors {
		rooms[room] = "floors"
	}
	for _, b := range bans {
		rooms[b.room] = "bans"
		for _, room := range b.except {
			rooms[room] = "bans"
		}
	}
	for _, home := range homes {
		for _, room := range home {
			rooms[room] = "homes"
		}
	}
	for room, table := range rooms {
		if _, err := os.Stat(filepath.Join("..", "..", filepath.FromSlash(room))); err != nil {
			t.Errorf("the table of %s names %q: %v", table, room, err)
		}
	}
}

// matches reports whether import p is the banned path or below it. A banned
// path that ends in $ means itself alone, one that ends in / any that begins
// so; a standard library name means itself alone.
func matches(p, banned string) bool {
	if exact, ok := strings.CutSuffix(banned, "$"); ok {
		return p == exact
	}
	if strings.HasSuffix(banned, "/") {
		return strings.HasPrefix(p, banned)
	}
	if !strings.Contains(banned, ".") {
		return p == banned
	}
	return within(p, banned)
}

func within(p, folder string) bool {
	return p == folder || strings.HasPrefix(p, path.Clean(folder)+"/")
}
