//! DNS flows.

use flowgate_flow::{DnsFlow, DnsMessage, DnsQuestion, DnsRecord};

use super::fields::{Fields, StateError, bool, bytes, int, list, optional, put_timestamp, text, timestamp};
use crate::tnetstring::{Encoder, Value};

pub(super) fn read(fields: &mut Fields<'_>) -> Result<DnsFlow, StateError> {
    Ok(DnsFlow {
        request: fields.take("request", message)?,
        response: fields.take("response", optional(message))?,
    })
}

pub(super) fn put(flow: &DnsFlow, to: &mut Encoder) {
    put_message(&flow.request, to).named("request");
    to.optional(flow.response.as_ref(), |to, response| put_message(response, to)).named("response");
}

fn message(value: Value<'_>) -> Result<DnsMessage, StateError> {
    let mut fields = Fields::new(value)?;
    Ok(DnsMessage {
        id: fields.take("id", int)?,
        query: fields.take("query", bool)?,
        op_code: fields.take("op_code", int)?,
        authoritative_answer: fields.take("authoritative_answer", bool)?,
        truncation: fields.take("truncation", bool)?,
        recursion_desired: fields.take("recursion_desired", bool)?,
        recursion_available: fields.take("recursion_available", bool)?,
        reserved: fields.take("reserved", int)?,
        response_code: fields.take("response_code", int)?,
        questions: fields.take("questions", list(question))?,
        answers: fields.take("answers", list(record))?,
        authorities: fields.take("authorities", list(record))?,
        additionals: fields.take("additionals", list(record))?,
        timestamp: fields.take("timestamp", optional(timestamp))?,
    })
}

fn put_message<'a>(message: &DnsMessage, to: &'a mut Encoder) -> &'a mut Encoder {
    to.map(|to| {
        to.int(message.id.into()).named("id");
        to.bool(message.query).named("query");
        to.int(message.op_code.into()).named("op_code");
        to.bool(message.authoritative_answer).named("authoritative_answer");
        to.bool(message.truncation).named("truncation");
        to.bool(message.recursion_desired).named("recursion_desired");
        to.bool(message.recursion_available).named("recursion_available");
        to.int(message.reserved.into()).named("reserved");
        to.int(message.response_code.into()).named("response_code");
        to.list(message.questions.iter(), put_question).named("questions");
        to.list(message.answers.iter(), put_record).named("answers");
        to.list(message.authorities.iter(), put_record).named("authorities");
        to.list(message.additionals.iter(), put_record).named("additionals");
        put_timestamp(message.timestamp, to).named("timestamp");
    })
}

fn question(value: Value<'_>) -> Result<DnsQuestion, StateError> {
    let mut fields = Fields::new(value)?;
    Ok(DnsQuestion {
        name: fields.take("name", text)?,
        kind: fields.take("type", int)?,
        class: fields.take("class_", int)?,
    })
}

fn put_question(to: &mut Encoder, question: &DnsQuestion) {
    to.map(|to| {
        to.text(&question.name).named("name");
        to.int(question.kind.into()).named("type");
        to.int(question.class.into()).named("class_");
    });
}

fn record(value: Value<'_>) -> Result<DnsRecord, StateError> {
    let mut fields = Fields::new(value)?;
    Ok(DnsRecord {
        name: fields.take("name", text)?,
        kind: fields.take("type", int)?,
        class: fields.take("class_", int)?,
        ttl: fields.take("ttl", int)?,
        data: fields.take("data", bytes)?,
    })
}

fn put_record(to: &mut Encoder, record: &DnsRecord) {
    to.map(|to| {
        to.text(&record.name).named("name");
        to.int(record.kind.into()).named("type");
        to.int(record.class.into()).named("class_");
        to.int(record.ttl.into()).named("ttl");
        to.bytes(&record.data).named("data");
    });
}
