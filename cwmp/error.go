package cwmp

import (
	"fmt"

	"github.com/cwmpgate/cwmpgate/cwmp/internal/xmlscan"
)

// Reason says why a body was refused. The list is closed: it is a label of
// metrics and a field of records.
type Reason string

// The reasons, by layer: bytes, tokens, SOAP and CWMP, limits.
const (
	ReasonNotXML           = Reason(xmlscan.NotXML)           // no XML at all
	ReasonUnknownCharset   = Reason(xmlscan.UnknownCharset)   // UTF-16, UTF-7 or a name that is not known
	ReasonCharsetMismatch  = Reason(xmlscan.CharsetMismatch)  // Content-Type, XML declaration and byte order mark disagree
	ReasonInvalidEncoding  = Reason(xmlscan.InvalidEncoding)  // bytes that the charset does not have
	ReasonInvalidCharacter = Reason(xmlscan.InvalidCharacter) // characters that XML forbids

	ReasonTruncated          = Reason(xmlscan.Truncated)          // ends before the root element does
	ReasonInvalidDeclaration = Reason(xmlscan.InvalidDeclaration) // of XML
	ReasonInvalidMarkup      = Reason(xmlscan.InvalidMarkup)      // tags, attributes, comments, CDATA
	ReasonInvalidName        = Reason(xmlscan.InvalidName)
	ReasonInvalidReference   = Reason(xmlscan.InvalidReference) // entities beyond the five, forbidden characters
	ReasonDoctype            = Reason(xmlscan.Doctype)
	ReasonMismatchedTag      = Reason(xmlscan.MismatchedTag)
	ReasonDuplicateAttribute = Reason(xmlscan.DuplicateAttribute)
	ReasonUndeclaredPrefix   = Reason(xmlscan.UndeclaredPrefix)
	ReasonReservedPrefix     = Reason(xmlscan.ReservedPrefix)  // xml and xmlns
	ReasonTrailingContent    = Reason(xmlscan.TrailingContent) // behind the root element

	ReasonNotSOAP           = Reason("not-soap")          // the root is no Envelope of SOAP 1.1
	ReasonNamespace         = Reason("namespace")         // a name of SOAP or CWMP in another namespace
	ReasonElementOrder      = Reason("element-order")     // Body before Header
	ReasonDuplicateElement  = Reason("duplicate-element") // twice where the schema has one
	ReasonSecondRPC         = Reason("second-rpc")
	ReasonNoBody            = Reason("no-body")
	ReasonEmptyBody         = Reason("empty-body")
	ReasonUnexpectedElement = Reason(xmlscan.UnexpectedElement) // in text, or in the envelope
	ReasonUnexpectedText    = Reason(xmlscan.UnexpectedText)    // between elements
	ReasonMultiReference    = Reason(xmlscan.MultiReference)    // href and id

	ReasonLimitDepth      = Reason(xmlscan.LimitDepth)
	ReasonLimitAttributes = Reason(xmlscan.LimitAttributes)
	ReasonLimitNamespaces = Reason(xmlscan.LimitNamespaces)
	ReasonLimitName       = Reason(xmlscan.LimitName)
	ReasonLimitParameters = Reason("limit-parameters")
	ReasonLimitElements   = Reason("limit-elements")
)

// Reasons lists all of them.
func Reasons() []Reason {
	return []Reason{
		ReasonNotXML, ReasonUnknownCharset, ReasonCharsetMismatch, ReasonInvalidEncoding, ReasonInvalidCharacter,
		ReasonTruncated, ReasonInvalidDeclaration, ReasonInvalidMarkup, ReasonInvalidName, ReasonInvalidReference,
		ReasonDoctype, ReasonMismatchedTag, ReasonDuplicateAttribute, ReasonUndeclaredPrefix, ReasonReservedPrefix,
		ReasonTrailingContent,
		ReasonNotSOAP, ReasonNamespace, ReasonElementOrder, ReasonDuplicateElement, ReasonSecondRPC, ReasonNoBody,
		ReasonEmptyBody, ReasonUnexpectedElement, ReasonUnexpectedText, ReasonMultiReference,
		ReasonLimitDepth, ReasonLimitAttributes, ReasonLimitNamespaces, ReasonLimitName, ReasonLimitParameters,
		ReasonLimitElements,
	}
}

// SyntaxError is why a body was refused, and where.
type SyntaxError struct {
	Reason Reason
	Offset int    // bytes into the body as it came
	Path   string // of the element, such as "Envelope/Body/Inform/DeviceId"
	Detail string // for the operator; may quote names of the body, never values
	// Device is as much of an Inform's DeviceId as was read before.
	Device DeviceID
}

func (e *SyntaxError) Error() string {
	text := fmt.Sprintf("%s at byte %d", e.Reason, e.Offset)
	if e.Path != "" {
		text += " in " + e.Path
	}
	return text + ": " + e.Detail
}
