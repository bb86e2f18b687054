package configs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
)

// Schema is the JSON Schema (2020-12) of the section that root points to, whose
// defaults it tells; call Defaults before where they are not set yet. The bytes
// are the same for the same types and defaults.
//
// It accepts what Load accepts but for what a schema cannot say: files and
// variables of secrets, ranges of durations and sizes, and what sections check
// themselves.
func Schema(root any) ([]byte, error) {
	d := describe(root)
	o := object{{"$schema", "https://json-schema.org/draft/2020-12/schema"}}
	text, err := marshal(append(o, d.schema()...))
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := json.Indent(&out, text, "", "  "); err != nil {
		return nil, err
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

// object is a JSON object that keeps its order.
type object []member

type member struct {
	key   string
	value any
}

func (o object) MarshalJSON() ([]byte, error) {
	out := []byte{'{'}
	for i, m := range o {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(strconv.AppendQuote(out, m.key), ':')
		value, err := marshal(m.value)
		if err != nil {
			return nil, err
		}
		out = append(out, value...)
	}
	return append(out, '}'), nil
}

// marshal is json.Marshal that leaves <, > and & readable.
func marshal(v any) ([]byte, error) {
	if o, ok := v.(object); ok {
		return o.MarshalJSON()
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

func (d description) schema() object {
	var o object
	if d.doc != "" {
		o = append(o, member{"description", d.docWithRange()})
	}
	switch d.shape {
	case shapeSection:
		return append(o, d.sectionSchema()...)
	case shapeList:
		o = append(o, member{"type", "array"}, member{"items", d.entry.schema()})
		o = d.bounds(o, "minItems", "maxItems")
	case shapeMap:
		o = append(o, member{"type", "object"}, member{"additionalProperties", d.entry.schema()})
		o = d.bounds(o, "minProperties", "maxProperties")
	case shapeBool:
		o = append(o, member{"type", "boolean"})
	case shapeInt, shapeUint:
		o = append(o, member{"type", "integer"})
		low, high := d.rule.min, d.rule.max
		if d.shape == shapeUint && low == "" {
			low = "0"
		}
		if d.shape == shapeUint && high == "" && d.bits < 64 {
			high = strconv.FormatUint(1<<d.bits-1, 10)
		}
		o = description{field: field{rule: rule{min: low, max: high}}}.bounds(o, "minimum", "maximum")
	case shapeFloat:
		o = d.bounds(append(o, member{"type", "number"}), "minimum", "maximum")
	case shapeString:
		o = d.bounds(append(o, member{"type", "string"}), "minLength", "maxLength")
	case shapeText:
		o = append(o, d.textSchema()...)
	}
	if len(d.enum) > 0 && d.entry == nil {
		o = append(o, member{"enum", d.enum})
	}
	if d.value != nil {
		o = append(o, member{"default", d.value})
	}
	return o
}

func (d description) sectionSchema() object {
	properties, required := object{}, []string{}
	for _, k := range d.keys {
		properties = append(properties, member{k.key, k.schema()})
		if k.mustBeWritten() {
			required = append(required, k.key)
		}
	}
	o := object{{"type", "object"}, {"properties", properties}}
	if len(required) > 0 {
		o = append(o, member{"required", required})
	}
	return append(o, member{"additionalProperties", false})
}

// mustBeWritten tells whether a section is incomplete without this key, be it
// for a key further down in a section that always exists.
func (d description) mustBeWritten() bool {
	if d.required {
		return true
	}
	if d.shape == shapeSection && !d.optional {
		for _, k := range d.keys {
			if k.mustBeWritten() {
				return true
			}
		}
	}
	return false
}

func (d description) textSchema() object {
	o := object{{"type", "string"}}
	if d.syntax.Number {
		o = object{{"type", []string{"string", "integer"}}, {"minimum", 0}}
	}
	if d.syntax.Pattern != "" && len(d.enum) == 0 {
		o = append(o, member{"pattern", d.syntax.Pattern})
	}
	return o
}

func (d description) bounds(o object, low, high string) object {
	if d.rule.min != "" {
		o = append(o, member{low, json.Number(d.rule.min)})
	}
	if d.rule.max != "" {
		o = append(o, member{high, json.Number(d.rule.max)})
	}
	return o
}

// docWithRange adds the range that the schema cannot say in its own words.
func (d description) docWithRange() string {
	if d.shape != shapeText || d.rule.min == "" && d.rule.max == "" {
		return d.doc
	}
	return fmt.Sprintf("%s Range: %s.", d.doc, rangeText(d.rule))
}
