package configs

import (
	"bytes"
	"fmt"
	"strings"
)

// Reference is a Markdown document of every key of the section that root
// points to, defaults as for Schema: path, type, default and meaning, with a
// chapter for each top-level section.
func Reference(root any) []byte {
	d := describe(root)
	var b bytes.Buffer
	b.WriteString("# Configuration reference\n\n" +
		"Every key of the config file, made from the types that read it. " +
		"A path such as `tenants[].name` is the key `name` in each entry of the list `tenants`, `limits.*` any key below `limits`. " +
		"Unknown keys are errors. A `required` key must stand wherever its section does.\n")
	d.writeTypes(&b)
	var alone []description
	for _, k := range d.keys {
		if len(k.sectionKeys()) == 0 {
			alone = append(alone, k)
			continue
		}
		fmt.Fprintf(&b, "\n## `%s`\n\n%s (%s)\n\n", k.key, k.doc, strings.Join(k.about(), "; "))
		writeHead(&b)
		writeRows(&b, k.sectionKeys(), k.key+k.pathMark())
	}
	if len(alone) > 0 {
		b.WriteString("\n## Single keys\n\n")
		writeHead(&b)
		writeRows(&b, alone, "")
	}
	return b.Bytes()
}

// writeTypes says once what each type of value accepts.
func (d description) writeTypes(b *bytes.Buffer) {
	var order []Syntax
	seen := map[string]bool{}
	var walk func(description)
	walk = func(d description) {
		if d.syntax.Wants != "" && !seen[d.syntax.Name] {
			seen[d.syntax.Name] = true
			order = append(order, d.syntax)
		}
		if d.entry != nil {
			walk(*d.entry)
		}
		for _, k := range d.keys {
			walk(k)
		}
	}
	walk(d)
	if len(order) == 0 {
		return
	}
	b.WriteString("\n## Types\n\n| Type | What to write |\n| --- | --- |\n")
	for _, s := range order {
		fmt.Fprintf(b, "| %s | %s |\n", s.Name, cell(s.Wants))
	}
}

func writeHead(b *bytes.Buffer) {
	b.WriteString("| Key | Type | Default | Meaning |\n| --- | --- | --- | --- |\n")
}

func writeRows(b *bytes.Buffer, keys []description, path string) {
	for _, k := range keys {
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", join(path, k.key), cell(k.typeName()), cell(k.defaultText()), cell(k.doc))
		writeRows(b, k.sectionKeys(), join(path, k.key)+k.pathMark())
	}
}

// sectionKeys are the keys of a section, or of each section in a list or map.
func (d description) sectionKeys() []description {
	for d.entry != nil {
		d = *d.entry
	}
	return d.keys
}

// pathMark is what a path carries between a list or map and its entries' keys.
func (d description) pathMark() string {
	switch d.shape {
	case shapeList:
		return "[]" + d.entry.pathMark()
	case shapeMap:
		return ".*" + d.entry.pathMark()
	}
	return ""
}

func (d description) typeName() string {
	text := d.kindName()
	if len(d.enum) > 0 {
		if d.entry == nil {
			text = ""
		} else {
			text += ": "
		}
		text += "`" + strings.Join(d.enum, "`, `") + "`"
	}
	if d.rule.min != "" || d.rule.max != "" {
		text += ", " + rangeText(d.rule)
		switch d.shape {
		case shapeList, shapeMap:
			text += " entries"
		case shapeString:
			text += " characters"
		}
	}
	return text
}

func (d description) kindName() string {
	switch d.shape {
	case shapeSection:
		return "section"
	case shapeList:
		return "list of " + plural(d.entry.kindName())
	case shapeMap:
		return "any keys, each with " + article(d.entry.kindName())
	case shapeBool:
		return "`true` or `false`"
	case shapeInt, shapeUint:
		return "whole number"
	case shapeFloat:
		return "number"
	case shapeText:
		return d.syntax.Name
	}
	return "text"
}

// about is what stands behind the heading of a chapter.
func (d description) about() []string {
	parts := []string{d.typeName()}
	switch {
	case d.required:
		parts = append(parts, "required")
	case d.optional:
		parts = append(parts, "absent by default")
	}
	return parts
}

func (d description) defaultText() string {
	switch list, isList := d.value.([]any); {
	case d.required:
		return "required"
	case isList:
		texts := make([]string, len(list))
		for i, one := range list {
			texts[i] = fmt.Sprint(one)
		}
		return "`[" + strings.Join(texts, ", ") + "]`"
	case d.value != nil:
		return fmt.Sprintf("`%v`", d.value)
	}
	return "–"
}

func plural(noun string) string {
	switch {
	case strings.HasSuffix(noun, "ss"):
		return noun + "es"
	case strings.HasSuffix(noun, "s") || strings.HasSuffix(noun, "`"):
		return noun
	}
	return noun + "s"
}

// cell keeps a text inside its cell of a Markdown table.
func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ").Replace(s)
}
