package configs

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// accepts judges a value read from YAML by the part of JSON Schema that Schema
// writes; "" is yes, else where and why not.
func accepts(schema map[string]any, value any, path string) string {
	if !isOf(schema["type"], value) {
		return fmt.Sprintf("%s: %T is not %v", path, value, schema["type"])
	}
	if list, ok := schema["enum"].([]any); ok && !slices.Contains(list, value) {
		return fmt.Sprintf("%s: %v is none of %v", path, value, list)
	}
	switch v := value.(type) {
	case map[string]any:
		return acceptsObject(schema, v, path)
	case []any:
		for i, one := range v {
			if why := accepts(schema["items"].(map[string]any), one, fmt.Sprintf("%s[%d]", path, i)); why != "" {
				return why
			}
		}
		return within(schema, "Items", float64(len(v)), path)
	case string:
		if pattern, ok := schema["pattern"].(string); ok && !regexp.MustCompile(pattern).MatchString(v) {
			return fmt.Sprintf("%s: %q does not match %s", path, v, pattern)
		}
		return within(schema, "Length", float64(utf8.RuneCountInString(v)), path)
	case int:
		return within(schema, "imum", float64(v), path)
	case float64:
		return within(schema, "imum", v, path)
	}
	return ""
}

func acceptsObject(schema, value map[string]any, path string) string {
	properties, _ := schema["properties"].(map[string]any)
	for key, inner := range value {
		s, known := properties[key].(map[string]any)
		if !known {
			if s, known = schema["additionalProperties"].(map[string]any); !known {
				return fmt.Sprintf("%s: unknown %q", path, key)
			}
		}
		if why := accepts(s, inner, path+"."+key); why != "" {
			return why
		}
	}
	required, _ := schema["required"].([]any)
	for _, key := range required {
		if _, ok := value[key.(string)]; !ok {
			return fmt.Sprintf("%s: %v missing", path, key)
		}
	}
	return within(schema, "Properties", float64(len(value)), path)
}

// within checks the bounds min… and max… of a schema.
func within(schema map[string]any, what string, n float64, path string) string {
	low, hasLow := schema["min"+what].(float64)
	high, hasHigh := schema["max"+what].(float64)
	if hasLow && n < low || hasHigh && n > high {
		return fmt.Sprintf("%s: %v is out of range", path, n)
	}
	return ""
}

func isOf(types, value any) bool {
	if list, ok := types.([]any); ok {
		return slices.ContainsFunc(list, func(one any) bool { return isOf(one, value) })
	}
	switch value.(type) {
	case map[string]any:
		return types == "object"
	case []any:
		return types == "array"
	case string:
		return types == "string"
	case bool:
		return types == "boolean"
	case int, int64, uint64:
		return types == "integer" || types == "number"
	case float64:
		return types == "number"
	}
	return false
}

func testSchema(t testing.TB) map[string]any {
	t.Helper()
	text, err := Schema(documented())
	if err != nil {
		t.Fatal(err)
	}
	var schema map[string]any
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	return schema
}

// What Load accepts, an editor with the schema accepts too.
func checkSchemaAgrees(t *testing.T, schema map[string]any, text []byte) {
	t.Helper()
	var value any
	if err := yaml.Load(text, &value); err != nil {
		t.Fatalf("accepted, but not by the YAML library: %v", err)
	}
	if why := accepts(schema, value, ""); why != "" {
		t.Errorf("accepted, but not by the schema: %s\n%s", why, text)
	}
}

// Each of these is refused by the schema as it is by Load.
func TestSchemaRefuses(t *testing.T) {
	schema := testSchema(t)
	for _, name := range []string{"unknown-key", "many-at-once", "wrong-shapes", "missing-keys", "numbers", "sizes-refused", "no-values"} {
		text, err := os.ReadFile(filepath.Join("testdata/mistakes", name+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		var value any
		if err := yaml.Load(text, &value); err != nil {
			t.Fatal(err)
		}
		if accepts(schema, value, "") == "" {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzLoad(f *testing.F) {
	files, err := filepath.Glob("testdata/mistakes/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range append(files, "testdata/full.yaml") {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Setenv("CWMPGATE_TEST_SECRET", hunter)
	schema := testSchema(f)
	f.Fuzz(func(t *testing.T, text []byte) { checkAnyText(t, schema, text) })
}

// checkAnyText loads a text and holds the outcome to what must be true of any.
func checkAnyText(t *testing.T, schema map[string]any, text []byte) {
	t.Helper()
	c := testDefaults()
	if err := LoadBytes("testdata/any.yaml", text, c); err != nil {
		if !strings.Contains(string(text), hunter) {
			checkErrors(t, text, err)
		}
		return
	}
	if strings.Contains(fmt.Sprintf("%+v %#v", *c, *c), hunter) && !strings.Contains(string(text), hunter) {
		t.Error("a secret is printed")
	}
	checkSchemaAgrees(t, schema, text)
}

// A slip at any one place of a good file.
func TestEverySlip(t *testing.T) {
	t.Setenv("CWMPGATE_TEST_SECRET", hunter)
	text, err := os.ReadFile("testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	schema := testSchema(t)
	checkAnyText(t, schema, text)
	for i := range text {
		checkAnyText(t, schema, slices.Delete(slices.Clone(text), i, i+1))
		checkAnyText(t, schema, text[:i])
		for _, c := range []byte("\x00\t\n \"':-[}&*!#~0\xff") {
			slip := slices.Clone(text)
			slip[i] = c
			checkAnyText(t, schema, slip)
		}
	}
}
