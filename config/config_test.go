package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func load(t *testing.T, file string, values map[string]any) (Config, error) {
	t.Helper()
	home := t.TempDir()
	if file != "" {
		if err := os.WriteFile(filepath.Join(home, "config.yaml"), []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return Load(Flags{Home: home, Values: values})
}

func TestFlagsGoBeforeEnvironmentBeforeFileBeforeDefault(t *testing.T) {
	const file = "quota: 1GiB\n"
	want := func(values map[string]any, file string, quota int64) {
		t.Helper()
		cfg, err := load(t, file, values)
		if err != nil || cfg.Quota.Bytes != quota {
			t.Errorf("quota is %v, %v; want %d", cfg.Quota, err, quota)
		}
	}
	want(nil, "", 10<<30)
	want(nil, file, 1<<30)
	t.Setenv("AML_QUOTA", "2GiB")
	want(nil, file, 2<<30)
	want(map[string]any{"quota": "3GiB"}, file, 3<<30)
}

func TestListsComeFromEverySource(t *testing.T) {
	for what, get := range map[string]func() (Config, error){
		"file":  func() (Config, error) { return load(t, "peer: [a, b]\n", nil) },
		"flags": func() (Config, error) { return load(t, "", map[string]any{"peer": []string{"a", "b"}}) },
		"environment": func() (Config, error) {
			t.Setenv("AML_PEER", "a, b")
			return load(t, "", nil)
		},
	} {
		cfg, err := get()
		if err != nil || strings.Join(cfg.Peers, "|") != "a|b" {
			t.Errorf("%s: %q, %v", what, cfg.Peers, err)
		}
		os.Unsetenv("AML_PEER")
	}
}

func TestWhatIsWrongInTheConfigurationIsNamed(t *testing.T) {
	for file, word := range map[string]string{
		"quotta: 1GiB\n":    "quotta",
		"quota: much\n":     "quota",
		"lan: perhaps\n":    "lan",
		"log: loud\n":       "loud",
		"quota: [1, 2\n":    "config.yaml",
		"minfree: -1GiB\n":  "minfree",
		"quota: 120%\n":     "120%",
		"quota: 0%\n":       "quota",
		"maxin: many\n":     "maxin",
		"maxout: 0\n":       "maxout",
		"reannounce: -1s\n": "reannounce",
		"maxin: [1]\n":      "config.yaml: maxin is \"[1]\"",
		"maxout: 9999999\n": "from 1 to 1048576",
		"quota: 9e30GiB\n":  "too large",
	} {
		if _, err := load(t, file, nil); err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%q: %v, want an error that names %s", file, err, word)
		}
	}
	if _, err := load(t, "", map[string]any{"quotta": 1}); err == nil {
		t.Error("an unknown key on the command line was taken")
	}
}

func TestTheTemplateIsAConfigurationThatChangesNothing(t *testing.T) {
	plain, err := load(t, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	// With every key uncommented it says the defaults.
	text := strings.ReplaceAll(string(Template()), "\n#", "\n")
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' })[3:], "\n")
	var keys []string
	for line := range strings.Lines(text) {
		if key, _, ok := strings.Cut(line, ": "); ok && !strings.Contains(key, " ") {
			keys = append(keys, line)
		}
	}
	full, err := load(t, strings.Join(keys, ""), nil)
	if err != nil || len(keys) < len(Keys())-1 {
		t.Fatalf("%v in\n%s", err, strings.Join(keys, ""))
	}
	full.Paths = plain.Paths
	if !reflect.DeepEqual(full, plain) {
		t.Errorf("the template says %+v, the defaults are %+v", full, plain)
	}
}

func TestALongHomeGetsASocketWhosePathFits(t *testing.T) {
	short, err := FindPaths("/srv/aml")
	if err != nil || short.Socket != "/srv/aml/api.sock" {
		t.Errorf("%s, %v", short.Socket, err)
	}
	long, err := FindPaths("/srv/" + strings.Repeat("long/", 40))
	if err != nil || len(long.Socket) > socketLimit {
		t.Errorf("%d characters: %s, %v", len(long.Socket), long.Socket, err)
	}
	other, _ := FindPaths("/srv/" + strings.Repeat("lang/", 40))
	if other.Socket == long.Socket {
		t.Error("two homes share a socket")
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "4096": 4096, "64KiB": 64 << 10, "10 GiB": 10 << 30, "1.5GB": 1_500_000_000, "2m": 2 << 20, "1TiB": 1 << 40,
	} {
		if got, err := ParseSize(text); err != nil || got != want {
			t.Errorf("%q is %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "GiB", "-1", "1XB", "1e400", "9999999TiB", "NaN", "1 2"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("%q was taken for %d", text, got)
		}
	}
	for size, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1536: "1.5 KiB", 1 << 30: "1.0 GiB"} {
		if got := FormatSize(size); got != want {
			t.Errorf("%d is %s, want %s", size, got, want)
		}
	}
}

func TestAQuotaIsInBytesOrAPartOfTheDisk(t *testing.T) {
	cfg, err := load(t, "quota: 12.5%\n", nil)
	if want := (Quota{Percent: 12.5}); err != nil || cfg.Quota != want {
		t.Errorf("%+v, %v, want %+v", cfg.Quota, err, want)
	}
}

func TestLimitsMayBeAListOfTerms(t *testing.T) {
	cfg, err := load(t, "upload: [5MiB, \"mon-fri 08:00-18:00=500KiB\"]\n", nil)
	if want := "5MiB,mon-fri 08:00-18:00=500KiB"; err != nil || cfg.Upload != want {
		t.Errorf("%q, %v, want %q", cfg.Upload, err, want)
	}
}

func TestAnEmptyConfigurationIsNotTakenForATemplate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if wrote, err := WriteTemplate(path); wrote || err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "delete it") {
		t.Errorf("an empty file: %v, %v", wrote, err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	for _, want := range []bool{true, false} {
		if wrote, err := WriteTemplate(path); err != nil || wrote != want {
			t.Errorf("wrote %v, want %v: %v", wrote, want, err)
		}
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != string(Template()) {
		t.Errorf("%q, %v", text, err)
	}
}
