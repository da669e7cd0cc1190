use super::harness::{check, check_within};
use super::reference::ReferenceItem;
use cvm_watch_sse::Limits;

/// Checks under a limit of 10 bytes for an event.
fn check_ten(cases: &[(&[u8], &str)]) {
    for (input, expected) in cases {
        check_within(Limits::default().max_event_bytes(10), input, expected);
    }
}

#[test]
fn an_event_at_the_limit_is_whole_and_one_byte_over_is_dropped() {
    check_ten(&[
        (b"data: 1234567890\n\n", r#"message "1234567890""#),
        (b"data: 12345678901\n\n", "too large"),
        (b"event: abcde\ndata: 12345\n\n", r#"abcde "12345""#),
        (b"event: abcde\ndata: 123456\n\n", "too large"),
        (b"data: 123456\nevent: abcde\n\n", "too large"),
        (b"id: abcde\ndata: 12345\n\n", r#"message "12345" #abcde"#),
        (b"id: abcde\ndata: 123456\n\n", "too large"),
        (b"data: 123456\nid: abcde\n\n", "too large"),
        (b"id: abc\nevent: def\ndata: 1234\n\n", r#"def "1234" #abc"#),
        (b"id: abc\nevent: def\ndata: 12345\n\n", "too large"),
        (b"event: abcdefghijk\n\n", "too large"),
        (b"id: abcdefghijk\n\n", "too large"),
        (b"event: abcdefghij\ndata\n\n", r#"abcdefghij """#),
    ]);
}

#[test]
fn the_line_feeds_between_data_lines_count_and_the_last_does_not() {
    check_ten(&[
        (b"data: 1234\ndata: 12345\n\n", r#"message "1234\n12345""#),
        (b"data: 12345\ndata: 12345\n\n", "too large"),
        (b"data: 1234567890\ndata\n\n", "too large"),
        (b"data: 123456789\ndata\n\n", r#"message "123456789\n""#),
        (b"data\ndata\ndata\ndata\ndata\ndata\ndata\ndata\ndata\ndata\ndata\n\n", r#"message "\n\n\n\n\n\n\n\n\n\n""#),
        (b"data\ndata\ndata\ndata\ndata\ndata\ndata\ndata\ndata\ndata\ndata\ndata\n\n", "too large"),
    ]);
}

#[test]
fn decoded_bytes_count() {
    check_ten(&[
        (b"data: \xff\xff\xff\n\n", "message \"\u{fffd}\u{fffd}\u{fffd}\""),
        (b"data: \xff\xff\xff1\n\n", "message \"\u{fffd}\u{fffd}\u{fffd}1\""),
        (b"data: \xff\xff\xff\xff\n\n", "too large"),
        (b"data: 12345678\xc3\xa9\n\n", r#"message "12345678é""#),
        (b"data: 12345678\xc3\n\n", "too large"),
        (b"data: 1234567\xe2\x82\n\n", "message \"1234567\u{fffd}\""),
        (b"data: 1234567\xf0\x9f\x98\n\n", "message \"1234567\u{fffd}\""),
        (b"data: 1234567\xf0\x9f\x98\x80\n\n", "too large"),
        (b"data: 12345678\xc3", ""),
        (b"event: 12345678\xc3\n\n", "too large"),
        (b"id: 12345678\xc3\n\n", "too large"),
        (b"id: 1234567\xc3\n\n", "id \"1234567\u{fffd}\""),
    ]);
}

#[test]
fn an_event_too_large_is_reported_before_its_line_ends() {
    check_ten(&[
        (b"data: 12345678901", "too large"),
        (b"data:12345678901", "too large"),
        (b"data:  1234567890", "too large"),
        (b"data: 1234567890", ""),
        (b"event: 12345678901", "too large"),
        (b"data: 1234567890\ndata:", "too large"),
        (b"data: 1234567890\ndata", ""),
        (b"data: 12345\ndata: 12345", "too large"),
        (b"data: 12345\nevent: 123456", "too large"),
        (b"id: 12345678901", ""),
        (b"data: 123456789012345\n", "too large"),
        (b"data: 123456789012345\n\ndata: 12345678901234", "too large; too large"),
    ]);
}

#[test]
fn the_rest_of_a_dropped_event_is_skipped_to_its_blank_line() {
    check_ten(&[
        (b"data: 12345678901\ndata: a\n\ndata: b\n\n", r#"too large; message "b""#),
        (b"data: 12345678901\nretry: 5\n\nretry: 6\n\n", "too large; retry 6"),
        (b"data: 12345678901\nid: 5\n\ndata: b\n\n", r#"too large; message "b""#),
        (b"id: 5\ndata: 12345678901\n\ndata: b\n\n", r#"too large; message "b""#),
        (b"retry: 5\ndata: 12345678901\n\n", "retry 5; too large"),
        (b"event: x\ndata: 12345678901\n\ndata: b\n\n", r#"too large; message "b""#),
        (b"data: 12345678901\nevent: x\n\ndata: b\n\n", r#"too large; message "b""#),
        (b"data: 12345678901\ndata: 12345678901\n\n", "too large"),
        (b"data: 12345678901\n: c\nfoo\n\ndata: b\n\n", r#"too large; message "b""#),
        (b"data: 12345678901\r\n\r\ndata: b\r\n\r\n", r#"too large; message "b""#),
        (b"data: 12345678901\r\rdata: b\r\r", r#"too large; message "b""#),
        (b"data: 12345678901\n\ndata: 12345678901\n\n", "too large; too large"),
        (b"id: 1\ndata: a\n\nid: 2\ndata: 12345678901\n\ndata: b\n\n", r#"message "a" #1; too large; message "b" #1"#),
        (b"data: 12345678901\xff\xff\xc3\n\ndata: \xa9\n\n", "too large; message \"\u{fffd}\""),
    ]);
}

#[test]
fn a_later_line_counts_in_place_of_the_one_it_replaces() {
    check_ten(&[
        (b"event: abcdefgh\nevent: x\ndata: 123456789\n\n", r#"x "123456789""#),
        (b"event: abcdefgh\nevent\ndata: 1234567890\n\n", r#"message "1234567890""#),
        (b"event: abcdefgh\nevent: abcdefghij\ndata\n\n", r#"abcdefghij """#),
        (b"event: abcdefgh\ndata: 1234\n\n", "too large"),
        (b"event: abcdefgh\ndata: 1234\nevent: x\n\n", "too large"),
        (b"id: abcdefgh\nid: x\ndata: 123456789\n\n", r#"message "123456789" #x"#),
        (b"id: abcdefgh\nid\ndata: 1234567890\n\n", r#"message "1234567890""#),
        (b"id: abcdefgh\nid: abcdefghij\n\n", r#"id "abcdefghij""#),
        (b"id: abcdefgh\nid: \0\ndata: 123\n\n", "too large"),
        (b"id: abcdefgh\nid: \0\ndata: 12\n\n", r#"message "12" #abcdefgh"#),
        (b"id: 1234567890123\0\ndata: 1234567890\n\n", r#"message "1234567890""#),
        (b"data: 1234567890\nid: 123\0\n\n", r#"message "1234567890""#),
    ]);
}

#[test]
fn an_id_kept_from_an_earlier_event_does_not_count() {
    check_ten(&[
        (b"id: abcdefgh\n\ndata: 1234567890\n\n", r#"message "1234567890" #abcdefgh"#),
        (b"id: abcdefgh\n\nid: ijklmnop\ndata: 12\n\n", r#"message "12" #ijklmnop"#),
    ]);
}

#[test]
fn comments_and_unknown_fields_of_any_length_do_not_count() {
    check_ten(&[
        (b": a comment that is long\ndata: a\n\n", r#"message "a""#),
        (b"data: a\n: a comment that is long\ndata: b\n\n", r#"message "a\nb""#),
        (b"unknown: 12345678901\ndata: a\n\n", r#"message "a""#),
        (b"dataxxxxxxxxxxxxxxxxxxx\ndata: a\n\n", r#"message "a""#),
        (b"dataxxxxxxxxxxxxxxxxxxx: 1\ndata: a\n\n", r#"message "a""#),
        (b"event: x\ndata2: 12345678901\ndata: a\n\n", r#"x "a""#),
        (b"retry: 000000000000000000001\ndata: a\n\n", r#"retry 1; message "a""#),
        (b"retry: 00000000000x000000001\ndata: a\n\n", r#"message "a""#),
    ]);
}

#[test]
fn an_id_over_its_own_limit_reads_as_empty() {
    let limits = Limits::default().max_id_bytes(4).max_event_bytes(10);
    for (input, expected) in [
        (b"id: 1234\ndata: a\n\n".as_slice(), r#"message "a" #1234"#),
        (b"id: 12345\ndata: a\n\n", r#"message "a""#),
        (b"id: 1234\ndata: a\n\nid: 12345\ndata: b\n\n", r#"message "a" #1234; message "b""#),
        (b"id: 1234\nid: 12345\ndata: a\n\n", r#"message "a""#),
        (b"id: 1234\n\nid: 12345\n\n", ""),
        (b"id: 1234\n\nid: 12345\0\n\n", r#"id "1234""#),
        (b"id: 1234\nid: 123456789012\0\n\n", r#"id "1234""#),
        (b"id: 12345678901234\ndata: 1234567890\n\n", r#"message "1234567890""#),
        (b"id: 1\xff\n\n", "id \"1\u{fffd}\""),
        (b"id: 12\xff\n\n", ""),
        (b"id: 12\xc3\n\n", ""),
        (b"id: 12\xc3\xa9\n\n", r#"id "12é""#),
        (b"data: 1234567\nid: 1234\n\n", "too large"),
        (b"data: 1234567\nid: 12345\n\n", r#"message "1234567""#),
    ] {
        check_within(limits, input, expected);
    }
}

#[test]
fn limits_of_zero_leave_empty_events_without_ids() {
    let limits = Limits::default().max_event_bytes(0);
    check_within(limits, b"data\n\n", r#"message """#);
    check_within(limits, b"data: a\n\n", "too large");
    check_within(limits, b"data\ndata\n\n", "too large");
    check_within(limits, b"event: x\n\ndata\n\n", r#"too large; message """#);
    check_within(limits, b"id\ndata\n\n", r#"message """#);
    check_within(Limits::default().max_id_bytes(0), b"id: 1\ndata: a\n\n", r#"message "a""#);
}

#[test]
fn the_default_limits_do_not_touch_events_of_usual_size() {
    let line = "x".repeat(3000);
    let input = format!("id: {line}\nevent: {line}\ndata: {line}\n\n");
    check(&input.as_bytes()[..4000], "");
    let limit = Limits::default().max_event_bytes;
    let mut large = vec![b'x'; limit + 6];
    large[..6].copy_from_slice(b"data: ");
    large.extend(b"\n\n");
    let (items, _) = super::harness::decode(Limits::default(), [large.as_slice()]);
    assert!(matches!(&items[..], [ReferenceItem::Event { data, .. }] if data.len() == limit));
    large.insert(6, b'x');
    let (items, _) = super::harness::decode(Limits::default(), large.chunks(16 * 1024));
    assert_eq!(items, [ReferenceItem::TooLarge]);
}
