package stack

import (
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"
)

// Everything is a first-level construct directly beneath the stack, so its id is its logical id: the one thing that
// must never change while there is data. Resources name each other by it, in any order.

func ref(id string) *string { return awscdk.Fn_Ref(jsii.String(id)) }

func att(id, attribute string) *string {
	return awscdk.Token_AsString(awscdk.Fn_GetAtt(jsii.String(id), jsii.String(attribute)), nil)
}

// sub fills ${…} in: a logical id, `Id.Attribute` or a pseudo parameter such as AWS::Region.
func sub(text string) *string { return awscdk.Fn_Sub(jsii.String(text), nil) }

func text(s string) *string { return jsii.String(s) }

func number(n int) *float64 { return jsii.Number(n) }

func list(items ...*string) *[]*string { return &items }

// camel turns a function's name into the head of its logical ids: fga-authorizer into FgaAuthorizer.
func camel(name string) string {
	var b strings.Builder
	for word := range strings.SplitSeq(name, "-") {
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String()
}
