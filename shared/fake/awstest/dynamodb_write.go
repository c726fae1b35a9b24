package awstest

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// writeInput is what PutItem, UpdateItem, DeleteItem and the actions of
// TransactWriteItems have in common.
type writeInput struct {
	TableName                           string
	Item                                item // Put
	Key                                 item // Update, Delete, ConditionCheck
	UpdateExpression                    *string
	ConditionExpression                 *string
	ExpressionAttributeNames            map[string]string
	ExpressionAttributeValues           map[string]value
	ReturnValuesOnConditionCheckFailure string
}

// write is a checked write, ready to be carried out.
type write struct {
	in        *writeInput
	table     *table
	key       item
	condition condition // nil if there is none
	update    *update   // nil unless it is one
	kind      string    // Put, Update, Delete, ConditionCheck
}

// prepare checks all of a write that does not depend on what is stored.
func (db *database) prepare(kind string, in *writeInput) (*write, error) {
	t, err := db.table(in.TableName)
	if err != nil {
		return nil, err
	}
	if on := in.ReturnValuesOnConditionCheckFailure; on != "" && on != "ALL_OLD" && on != "NONE" {
		return nil, validation(fmt.Sprintf("1 validation error detected: Value '%s' at 'returnValuesOnConditionCheckFailure' failed to satisfy constraint: Member must satisfy enum value set: [ALL_OLD, NONE]", on))
	}
	if (in.Item != nil) != (kind == "Put") || (in.Key != nil) == (kind == "Put") || (in.UpdateExpression != nil) != (kind == "Update") {
		return nil, notImplemented(kind + " with or without Item, Key or UpdateExpression")
	}
	if err := placeholders(in.ExpressionAttributeNames, in.ExpressionAttributeValues, in.ConditionExpression, in.UpdateExpression); err != nil {
		return nil, err
	}
	w := &write{in: in, table: t, kind: kind}
	scope := newScope(in.ExpressionAttributeNames, in.ExpressionAttributeValues)
	if in.UpdateExpression != nil {
		if w.update, err = parseUpdate(*in.UpdateExpression, scope); err != nil {
			return nil, err
		}
	}
	if in.ConditionExpression != nil {
		if w.condition, err = parseCondition("ConditionExpression", *in.ConditionExpression, scope); err != nil {
			return nil, err
		}
	}
	if err := scope.unused(); err != nil {
		return nil, err
	}
	if kind == "Put" {
		if err := t.checkItem(in.Item, "Item size has exceeded the maximum allowed size"); err != nil {
			return nil, err
		}
		w.key = t.key(in.Item)
		return w, nil
	}
	if err := t.checkKey(in.Key); err != nil {
		return nil, err
	}
	w.key = in.Key
	if w.update != nil {
		for _, name := range w.update.names() {
			if _, isKey := in.Key[name]; isKey {
				return nil, validation("One or more parameter values were invalid: Cannot update attribute " + name + ". This attribute is part of the key")
			}
		}
	}
	return w, nil
}

// placeholders refuses placeholders without any expression to use them.
func placeholders(names map[string]string, values map[string]value, expressions ...*string) error {
	if names != nil && len(names) == 0 {
		return validation("ExpressionAttributeNames must not be empty")
	}
	if values != nil && len(values) == 0 {
		return validation("ExpressionAttributeValues must not be empty")
	}
	for k := range names {
		if !strings.HasPrefix(k, "#") || len(k) < 2 {
			return validation(fmt.Sprintf(`ExpressionAttributeNames contains invalid key: Syntax error; key: "%s"`, k))
		}
	}
	for k := range values {
		if !strings.HasPrefix(k, ":") || len(k) < 2 {
			return validation(fmt.Sprintf(`ExpressionAttributeValues contains invalid key: Syntax error; key: "%s"`, k))
		}
	}
	if slices.ContainsFunc(expressions, func(e *string) bool { return e != nil }) {
		return nil
	}
	if names != nil {
		return validation("ExpressionAttributeNames can only be specified when using expressions")
	}
	if values != nil {
		return validation("ExpressionAttributeValues can only be specified when using expressions: ConditionExpression is null")
	}
	return nil
}

var errCondition = dynamodbError("ConditionalCheckFailedException", "The conditional request failed")

// check finds what a write makes of its item, nil for nothing, without storing it.
func (db *database) check(w *write) (item, error) {
	old := db.get(w.table, w.key, true)
	if w.condition != nil && !w.condition.holds(old) {
		failed := *errCondition
		if w.in.ReturnValuesOnConditionCheckFailure == "ALL_OLD" && old != nil {
			failed.more = map[string]any{"Item": old}
		}
		return nil, &failed
	}
	switch w.kind {
	case "Put":
		return w.in.Item, nil
	case "Delete":
		return nil, nil //nolint:nilnil // deleted
	case "ConditionCheck":
		return old, nil
	}
	base := old
	if base == nil {
		base = w.key
	}
	changed, err := w.update.apply(base)
	if err == nil {
		err = w.table.checkItem(changed, "Item size to update has exceeded the maximum allowed size")
	}
	return changed, err
}

func (db *database) store(w *write, changed item) {
	if w.kind != "ConditionCheck" {
		db.put(w.table, w.key, changed)
	}
}

// writeOne carries out a write of its own.
func (db *database) writeOne(kind string, in *writeInput) (any, error) {
	w, err := db.prepare(kind, in)
	if err != nil {
		return nil, err
	}
	o, err := db.check(w)
	if err != nil {
		return nil, err
	}
	db.store(w, o)
	return none{}, nil
}

func (db *database) putItem(in *writeInput) (any, error)    { return db.writeOne("Put", in) }
func (db *database) deleteItem(in *writeInput) (any, error) { return db.writeOne("Delete", in) }
func (db *database) updateItem(in *writeInput) (any, error) { return db.writeOne("Update", in) }

type transactItem struct {
	Put            *writeInput `json:",omitempty"`
	Update         *writeInput `json:",omitempty"`
	Delete         *writeInput `json:",omitempty"`
	ConditionCheck *writeInput `json:",omitempty"`
}

func (t transactItem) action() (kind string, in *writeInput, err error) {
	n := 0
	for k, w := range map[string]*writeInput{"Put": t.Put, "Update": t.Update, "Delete": t.Delete, "ConditionCheck": t.ConditionCheck} {
		if w != nil {
			kind, in, n = k, w, n+1
		}
	}
	switch {
	case n != 1:
		err = validation("TransactItems can only contain one of Check, Put, Update or Delete")
	case kind == "ConditionCheck" && in.ConditionExpression == nil:
		err = validation("ConditionExpression is required for a ConditionCheck in TransactItems")
	}
	return kind, in, err
}

const (
	maxTransaction  = 100
	tokenKept       = 10 * time.Minute
	maxTransactSize = 4 << 20
)

func (db *database) transactWriteItems(in *struct {
	TransactItems      []transactItem
	ClientRequestToken string
},
) (any, error) {
	if n := len(in.TransactItems); n == 0 || n > maxTransaction {
		bound := "greater than or equal to 1"
		if n > 0 {
			bound = "less than or equal to 100"
		}
		return nil, validation("1 validation error detected: Value at 'transactItems' failed to satisfy constraint: Member must have length " + bound)
	}
	var (
		writes []*write
		seen   = map[string]bool{}
	)
	for _, t := range in.TransactItems {
		kind, action, err := t.action()
		if err != nil {
			return nil, err
		}
		w, err := db.prepare(kind, action)
		if err != nil {
			return nil, err
		}
		if id := w.table.Name + "\x00" + w.table.id(w.key); seen[id] {
			return nil, validation("Transaction request cannot include multiple operations on one item")
		} else {
			seen[id] = true
		}
		writes = append(writes, w)
	}

	now := db.opts.Now()
	request, _ := json.Marshal(in.TransactItems) // decoded a moment ago
	sum := sha256.Sum256(request)
	if done, ok := db.tokens[in.ClientRequestToken]; ok && in.ClientRequestToken != "" && now.Sub(done.at) < tokenKept {
		if done.request != sum {
			return nil, dynamodbError("IdempotentParameterMismatchException", "The request was rejected because a retry token was reused with different parameters")
		}
		return map[string]any{}, nil
	}

	outcomes, reasons, failed, size := make([]item, len(writes)), make([]map[string]any, len(writes)), false, 0
	for i, w := range writes {
		o, err := db.check(w)
		outcomes[i], size = o, size+o.size()
		reasons[i] = map[string]any{"Code": "None"}
		var e *apiError
		if errors.As(err, &e) {
			failed = true
			reasons[i] = map[string]any{"Code": "ValidationError", "Message": e.message}
			if e.code == errCondition.code {
				reasons[i]["Code"] = "ConditionalCheckFailed"
			}
			for k, v := range e.more {
				reasons[i][k] = v
			}
		}
	}
	if failed {
		codes := make([]string, len(reasons))
		for i, r := range reasons {
			codes[i] = fmt.Sprint(r["Code"])
		}
		e := dynamodbError("TransactionCanceledException",
			"Transaction cancelled, please refer cancellation reasons for specific reasons ["+strings.Join(codes, ", ")+"]")
		e.more = map[string]any{"CancellationReasons": reasons}
		return nil, e
	}
	if size > maxTransactSize {
		return nil, validation("Collection size of items in TransactItems has exceeded the maximum allowed size")
	}
	for i, w := range writes {
		db.store(w, outcomes[i])
	}
	if in.ClientRequestToken != "" {
		db.tokens[in.ClientRequestToken] = transaction{sum, now}
	}
	return map[string]any{}, nil
}
