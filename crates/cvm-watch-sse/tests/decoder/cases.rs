use super::harness::{check, decode};
use cvm_watch_sse::{Chunk, Decoder, Item, Limits};

type Cases<'a> = &'a [(&'a [u8], &'a str)];

fn check_all(cases: Cases<'_>) {
    for (input, expected) in cases {
        check(input, expected);
    }
}

#[test]
fn a_line_ends_with_lf_cr_or_crlf() {
    check_all(&[
        (b"data: a\n\n", r#"message "a""#),
        (b"data: a\r\r", r#"message "a""#),
        (b"data: a\r\n\r\n", r#"message "a""#),
        (b"data: a\n\r", r#"message "a""#),
        (b"data: a\r\n\n", r#"message "a""#),
        (b"data: a\n\r\n", r#"message "a""#),
        (b"data: a\r\r\n", r#"message "a""#),
        (b"data: a\r\n\r", r#"message "a""#),
        (b"data: a\r\n", ""),
        (b"data: a\r\ndata: b\r\n\r\n", r#"message "a\nb""#),
        (b"data: a\rdata: b\r\r", r#"message "a\nb""#),
        (b"data: a\ndata: b\r\ndata: c\r\n\r", r#"message "a\nb\nc""#),
        (b"data: a\r\r\ndata: b\r\n\r\n", r#"message "a"; message "b""#),
        (b"data: a\r\r\n\ndata: b\n\n", r#"message "a"; message "b""#),
        (b"data: a\r\rdata: b\r\r", r#"message "a"; message "b""#),
        (b"\n\n\r\n\r\rdata: a\n\n", r#"message "a""#),
        (b"\r\n", ""),
        (b"\r", ""),
        (b"\n\r", ""),
        (b"data\r\r\n\r\ndata\r\n\r\n", r#"message ""; message """#),
        (b"data: a\r\n\rdata: b\n\r\n", r#"message "a"; message "b""#),
    ]);
}

#[test]
fn nothing_else_ends_a_line() {
    check_all(&[
        (b"data: a\x0bb\n\n", r#"message "a\u{b}b""#),
        (b"data: a\x0cb\n\n", r#"message "a\u{c}b""#),
        ("data: a\u{85}b\n\n".as_bytes(), r#"message "a\u{85}b""#),
        ("data: a\u{2028}b\n\n".as_bytes(), r#"message "a\u{2028}b""#),
        ("data: a\u{2029}b\n\n".as_bytes(), r#"message "a\u{2029}b""#),
        (b"data: a\x1eb\n\n", r#"message "a\u{1e}b""#),
        (b"data: a\0b\n\n", r#"message "a\0b""#),
    ]);
}

#[test]
fn one_byte_order_mark_is_skipped_at_the_start_only() {
    check_all(&[
        (b"\xef\xbb\xbfdata: a\n\n", r#"message "a""#),
        (b"\xef\xbb\xbf\ndata: a\n\n", r#"message "a""#),
        (b"\xef\xbb\xbf\n\xef\xbb\xbfdata: a\n\n", ""),
        (b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\n", ""),
        (b"\xef\xbb\xbf\xef\xbb\xbfdata: a\ndata: b\n\n", r#"message "b""#),
        (b"\xef\xbbdata: a\n\n", ""),
        (b"\xef\xbbdata: a\ndata: b\n\n", r#"message "b""#),
        (b"\xefdata: a\ndata: b\n\n", r#"message "b""#),
        (b"\xef\xbb\ndata: b\n\n", r#"message "b""#),
        (b"data: a\n\xef\xbb\ndata: b\n\n", r#"message "a\nb""#),
        (b"\xef\xbb:\ndata: b\n\n", r#"message "b""#),
        (b"\xef\xef\xbb\xbfdata: a\n\n", ""),
        (b"\n\xef\xbb\xbfdata: a\n\n", ""),
        (b"data: \xef\xbb\xbfa\n\n", r#"message "\u{feff}a""#),
        (b"data: a\n\xef\xbb\xbfdata: b\n\n", r#"message "a""#),
        (b"\xef\xbb\xbf: comment\ndata: a\n\n", r#"message "a""#),
        (b"\xef\xbb\xbf", ""),
        (b"\xef\xbb", ""),
        (b"\xef\xbb\xbf\r\rdata: a\r\r", r#"message "a""#),
        (b"\xfe\xffdata: a\ndata: b\n\n", r#"message "b""#),
    ]);
}

#[test]
fn one_space_after_the_colon_is_dropped() {
    check_all(&[
        (b"data:a\n\n", r#"message "a""#),
        (b"data: a\n\n", r#"message "a""#),
        (b"data:  a\n\n", r#"message " a""#),
        (b"data:   a  \n\n", r#"message "  a  ""#),
        (b"data:\ta\n\n", r#"message "\ta""#),
        (b"data: \ta\n\n", r#"message "\ta""#),
        (b"data:\xc2\xa0a\n\n", r#"message "\u{a0}a""#),
        (b"data: \n\n", r#"message """#),
        (b"data:  \n\n", r#"message " ""#),
        (b"data::a\n\n", r#"message ":a""#),
        (b"data: :a\n\n", r#"message ":a""#),
        (b"data: a:b: c\n\n", r#"message "a:b: c""#),
        (b"event:  x\ndata:a\n\n", r#" x "a""#),
        (b"id:  7\ndata:a\n\n", r#"message "a" # 7"#),
    ]);
}

#[test]
fn field_names_are_exact() {
    check_all(&[
        (b" data: a\n\n", ""),
        (b"\tdata: a\n\n", ""),
        (b"data : a\n\n", ""),
        (b"Data: a\n\n", ""),
        (b"DATA: a\n\n", ""),
        (b"dat: a\n\n", ""),
        (b"dataa: a\n\n", ""),
        (b"data\0: a\n\n", ""),
        (b"d\0ata: a\n\n", ""),
        (b"datum\n\n", ""),
        (b"dat\n\n", ""),
        (b"d\n\n", ""),
        (b"dat\xc3\xa1: a\n\n", ""),
        (b"\xffdata: a\n\n", ""),
        (b"data\xff: a\n\n", ""),
        (b"foo: bar\ndata: a\n\n", r#"message "a""#),
        (b"foo\ndata: a\n\n", r#"message "a""#),
        (b"data: a\nfoo: bar\ndata: b\n\n", r#"message "a\nb""#),
        (b"Event: x\ndata: a\n\n", r#"message "a""#),
        (b"eventx: x\ndata: a\n\n", r#"message "a""#),
        (b"even: x\ndata: a\n\n", r#"message "a""#),
        (b"ID: 1\ndata: a\n\n", r#"message "a""#),
        (b"i: 1\nidd: 2\nids\ndata: a\n\n", r#"message "a""#),
        (b"Retry: 1\nretr: 2\nretryy: 3\n\n", ""),
        (b"data-data: a\n\n", ""),
        (b"datadata\n\n", ""),
        (b"dataevent: a\n\n", ""),
        (b"event data: a\n\n", ""),
    ]);
}

#[test]
fn comments_say_nothing() {
    check_all(&[
        (b":\n\n", ""),
        (b": beat\n\n", ""),
        (b":data: a\n\n", ""),
        (b": a\ndata: a\n\n", r#"message "a""#),
        (b"data: a\n:\ndata: b\n\n", r#"message "a\nb""#),
        (b"data: a\n: a comment between\n\n", r#"message "a""#),
        (b":\r:\r\n:\ndata: a\r\r", r#"message "a""#),
        (b"::\ndata: a\n\n", r#"message "a""#),
        (b": \xff\xc3\ndata: a\n\n", r#"message "a""#),
        (b" : a\ndata: a\n\n", r#"message "a""#),
        (b":retry: 5\n:id: 5\n\n", ""),
    ]);
}

#[test]
fn data_lines_are_joined_by_line_feeds() {
    check_all(&[
        (b"data: a\ndata: b\n\n", r#"message "a\nb""#),
        (b"data: a\ndata: b\ndata: c\n\n", r#"message "a\nb\nc""#),
        (b"data: YHOO\ndata: +2\ndata: 10\n\n", r#"message "YHOO\n+2\n10""#),
        (b"data\n\n", r#"message """#),
        (b"data:\n\n", r#"message """#),
        (b"data\ndata\n\n", r#"message "\n""#),
        (b"data:\ndata:\ndata:\n\n", r#"message "\n\n""#),
        (b"data\ndata: a\n\n", r#"message "\na""#),
        (b"data: a\ndata\n\n", r#"message "a\n""#),
        (b"data: a\ndata:\ndata: b\n\n", r#"message "a\n\nb""#),
        (b"data: a\n\ndata: b\n\n", r#"message "a"; message "b""#),
        (b"data: a\nevent: x\ndata: b\n\n", r#"x "a\nb""#),
    ]);
}

#[test]
fn a_blank_line_dispatches_only_with_data() {
    check_all(&[
        (b"", ""),
        (b"\n", ""),
        (b"data: a", ""),
        (b"data: a\n", ""),
        (b"data: a\n:\n", ""),
        (b"event: x\n\n", ""),
        (b"event: x\n\ndata: a\n\n", r#"message "a""#),
        (b"data: a\n\ndata: b", r#"message "a""#),
        (b"data: a\n\ndata: b\n", r#"message "a""#),
        (b"data\n\ndata\ndata\n\ndata:", r#"message ""; message "\n""#),
        (b"data:test\n\ndata\ndata\n\ndata:test\n\n", r#"message "test"; message "\n"; message "test""#),
        (b"data: a\n \n\n", r#"message "a""#),
        (b"data: a\n\n\n\ndata: b\n\n\n", r#"message "a"; message "b""#),
    ]);
}

#[test]
fn an_event_has_the_type_of_its_last_event_line() {
    check_all(&[
        (b"event: x\ndata: a\n\n", r#"x "a""#),
        (b"data: a\nevent: x\n\n", r#"x "a""#),
        (b"event: x\nevent: y\ndata: a\n\n", r#"y "a""#),
        (b"event: long-one\nevent: y\ndata: a\n\n", r#"y "a""#),
        (b"event: x\nevent\ndata: a\n\n", r#"message "a""#),
        (b"event: x\nevent:\ndata: a\n\n", r#"message "a""#),
        (b"event: x\nevent: \ndata: a\n\n", r#"message "a""#),
        (b"event: x\ndata: a\n\ndata: b\n\n", r#"x "a"; message "b""#),
        (b"event: message\ndata: a\n\n", r#"message "a""#),
        (b"event: a b\ndata: a\n\n", r#"a b "a""#),
        (b"event: x\0\ndata: a\n\n", "x\0 \"a\""),
        (b"event: \xff\ndata: a\n\n", "\u{fffd} \"a\""),
        (b"event: x\nevent: \xe2\x82\ndata: a\n\n", "\u{fffd} \"a\""),
        (b"event: \xff\nevent: y\ndata: a\n\n", r#"y "a""#),
        (b"event: x\n\n\nevent: y\ndata: a\n\n", r#"y "a""#),
    ]);
}

#[test]
fn a_blank_line_commits_the_id() {
    check_all(&[
        (b"id: 1\ndata: a\n\n", r#"message "a" #1"#),
        (b"data: a\nid: 1\n\n", r#"message "a" #1"#),
        (b"id: 1\nid: 2\ndata: a\n\n", r#"message "a" #2"#),
        (b"id: 1\n\n", r#"id "1""#),
        (b"id: 1\n\ndata: a\n\n", r#"message "a" #1"#),
        (b"id: 1\ndata: a\n\ndata: b\n\n", r#"message "a" #1; message "b" #1"#),
        (b"id: 1\ndata: a\n\nid: 2\ndata: b\n\n", r#"message "a" #1; message "b" #2"#),
        (b"id: 1\ndata: a\n\nid: 2\ndata: b\n", r#"message "a" #1"#),
        (b"id: 1\ndata: a\n\nid: 2\n\n", r#"message "a" #1; id "2""#),
        (b"id: 1", ""),
        (b"id: 1\n", ""),
        (b"id: 1\ndata: a", ""),
        (b"id: 1\ndata: a\n\nid\ndata: b\n\n", r#"message "a" #1; message "b""#),
        (b"id: 1\ndata: a\n\nid:\ndata: b\n\n", r#"message "a" #1; message "b""#),
        (b"id: 1\ndata: a\n\nid: \n\n", r#"message "a" #1; id """#),
        (b"id: 1\nid\ndata: a\n\n", r#"message "a""#),
        (b"id\nid: 1\ndata: a\n\n", r#"message "a" #1"#),
        (b"id: a:b\ndata: a\n\n", r#"message "a" #a:b"#),
        (b"id: \xff\ndata: a\n\n", "message \"a\" #\u{fffd}"),
        ("id: é\ndata: a\n\n".as_bytes(), "message \"a\" #é"),
        (b"event: x\nid: 1\n\ndata: a\n\n", r#"message "a" #1"#),
    ]);
}

#[test]
fn an_id_with_nul_is_ignored() {
    check_all(&[
        (b"id: \0\ndata: a\n\n", r#"message "a""#),
        (b"id: 1\0\ndata: a\n\n", r#"message "a""#),
        (b"id: 1\x002\ndata: a\n\n", r#"message "a""#),
        (b"id: 1\nid: 2\0\ndata: a\n\n", r#"message "a" #1"#),
        (b"id: 1\nid: \x002\nid: 3\ndata: a\n\n", r#"message "a" #3"#),
        (b"id: 1\ndata: a\n\nid: 2\0\ndata: b\n\n", r#"message "a" #1; message "b" #1"#),
        (b"id: 1\0\nid: 2\ndata: a\n\n", r#"message "a" #2"#),
        (b"id: \xff\0\ndata: a\n\n", r#"message "a""#),
        (b"id: \xe2\x82\0\ndata: a\n\n", r#"message "a""#),
    ]);
}

#[test]
fn a_retry_line_of_digits_is_reported_in_stream_order() {
    check_all(&[
        (b"retry: 10\n", "retry 10"),
        (b"retry:10\r", "retry 10"),
        (b"retry: 10", ""),
        (b"retry: 0\n", "retry 0"),
        (b"retry: 00012\n", "retry 12"),
        (b"retry: 1\nretry: 2\n\n", "retry 1; retry 2"),
        (b"retry: 18446744073709551615\n", "retry 18446744073709551615"),
        (b"retry: 18446744073709551616\n", "retry 18446744073709551615"),
        (b"retry: 99999999999999999999999999\n", "retry 18446744073709551615"),
        (b"retry: 00000000000000000000000000000005\n", "retry 5"),
        (b"retry\n", ""),
        (b"retry:\n", ""),
        (b"retry: \n", ""),
        (b"retry:  1\n", ""),
        (b"retry: 1 \n", ""),
        (b"retry: -1\n", ""),
        (b"retry: +1\n", ""),
        (b"retry: 1.5\n", ""),
        (b"retry: 1e3\n", ""),
        (b"retry: 0x10\n", ""),
        (b"retry: 1\0\n", ""),
        (b"retry: 1\xff\n", ""),
        ("retry: \u{0661}\n".as_bytes(), ""),
        (b"retry: 99999999999999999999999999x\n", ""),
        (b"data: a\nretry: 5\ndata: b\n\n", r#"retry 5; message "a\nb""#),
        (b"event: x\ndata: a\nretry: 5\n\n", r#"retry 5; x "a""#),
        (b"id: 7\nretry: 5\nevent: x\ndata: a\n\n", r#"retry 5; x "a" #7"#),
        (b"data: a\n\nretry: 5\n\ndata: b\n\n", r#"message "a"; retry 5; message "b""#),
        (b"retry: 5\r\n\r\ndata: a\r\n\r\n", r#"retry 5; message "a""#),
        (b"retry: x\ndata: a\n\n", r#"message "a""#),
    ]);
}

#[test]
fn invalid_utf8_reads_as_one_replacement_per_maximal_subpart() {
    check_all(&[
        ("data: aé€😀\n\n".as_bytes(), r#"message "aé€😀""#),
        (b"data: \xff\n\n", "message \"\u{fffd}\""),
        (b"data: \xff\xfe\n\n", "message \"\u{fffd}\u{fffd}\""),
        (b"data: \x80a\n\n", "message \"\u{fffd}a\""),
        (b"data: \xc3\n\n", "message \"\u{fffd}\""),
        (b"data: \xc3a\n\n", "message \"\u{fffd}a\""),
        (b"data: \xe2\x82\n\n", "message \"\u{fffd}\""),
        (b"data: \xe2\x82a\n\n", "message \"\u{fffd}a\""),
        (b"data: \xe2\xe2\x82\xac\n\n", "message \"\u{fffd}€\""),
        (b"data: \xf0\x9f\x98\n\n", "message \"\u{fffd}\""),
        (b"data: \xf0\x9f\x98\r\r", "message \"\u{fffd}\""),
        (b"data: \xf0\x9f\x98\r\ndata: \x80\n\n", "message \"\u{fffd}\\n\u{fffd}\""),
        (b"data: \xf0\x9fa\n\n", "message \"\u{fffd}a\""),
        (b"data: \xf0\x90\xf0\x9f\x98\x80\n\n", "message \"\u{fffd}😀\""),
        (b"data: \xc0\xaf\n\n", "message \"\u{fffd}\u{fffd}\""),
        (b"data: \xe0\x80\xaf\n\n", "message \"\u{fffd}\u{fffd}\u{fffd}\""),
        (b"data: \xe0\x9f\xbf\n\n", "message \"\u{fffd}\u{fffd}\u{fffd}\""),
        (b"data: \xed\xa0\x80\n\n", "message \"\u{fffd}\u{fffd}\u{fffd}\""),
        (b"data: \xf4\x90\x80\x80\n\n", "message \"\u{fffd}\u{fffd}\u{fffd}\u{fffd}\""),
        (b"data: \xf0\x80\x80\x80\n\n", "message \"\u{fffd}\u{fffd}\u{fffd}\u{fffd}\""),
        (b"data: \xf8\x88\x80\x80\x80\n\n", "message \"\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\""),
        (b"data: \xe2\x82: a\n\n", "message \"\u{fffd}: a\""),
        (b"data:\xe2\x82 a\n\n", "message \"\u{fffd} a\""),
        (b"data: a\xff\ndata: b\n\n", "message \"a\u{fffd}\\nb\""),
        (b"data: a\ndata: b\xff\n\n", "message \"a\\nb\u{fffd}\""),
        (b"data: \xe2\n\ndata: \x82\xac\n\n", "message \"\u{fffd}\"; message \"\u{fffd}\u{fffd}\""),
        (b"foo: \xe2\ndata: \x82\n\n", "message \"\u{fffd}\""),
        (b"id: \xe2\ndata: \x82\n\n", "message \"\u{fffd}\" #\u{fffd}"),
        ("data: \u{ffff}\u{10ffff}\u{d7ff}\u{e000}\n\n".as_bytes(), r#"message "\u{ffff}\u{10ffff}\u{d7ff}\u{e000}""#),
    ]);
}

/// Each class of byte that UTF-8 tells apart, four in a row.
#[test]
fn every_word_of_four_bytes_reads_as_the_standard_library_reads_it_however_cut() {
    const BYTES: [u8; 20] = [
        0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xe0, 0xe1, 0xed, 0xef, 0xf0, 0xf1,
        0xf4, 0xf5,
    ];
    for number in 0..BYTES.len().pow(4) {
        let word: Vec<u8> = (0..4).map(|place| BYTES[number / BYTES.len().pow(place) % BYTES.len()]).collect();
        let expected = String::from_utf8_lossy(&word);
        let stream = [b"data:", word.as_slice(), b"\n\n"].concat();
        for cut in 5..=9 {
            let mut decoder = Decoder::default();
            let (start, end) = stream.split_at(cut);
            assert_eq!(decoder.decode(&mut Chunk::new(start)), None);
            let mut end = Chunk::new(end);
            let Some(Item::Event(event)) = decoder.decode(&mut end) else { panic!("no event of {word:x?}") };
            assert_eq!(event.data, expected, "{word:x?}, cut at {cut}");
        }
    }
}

#[test]
fn the_streams_of_the_standards_own_examples_read_as_it_says() {
    check_all(&[
        (
            b"data: This is the first message.\n\ndata: This is the second message, it\ndata: has two lines.\n\n\
              data: This is the third message.\n\n",
            "message \"This is the first message.\"; message \"This is the second message, it\\nhas two lines.\"; \
             message \"This is the third message.\"",
        ),
        (
            b"event: add\ndata: 73857293\n\nevent: remove\ndata: 2153\n\nevent: add\ndata: 113411\n\n",
            r#"add "73857293"; remove "2153"; add "113411""#,
        ),
        (
            b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n",
            r#"message "first event" #1; message "second event""#,
        ),
        (
            b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
            r#"message "first event" #1; message "second event"; message " third event""#,
        ),
        (b"data:test\n\ndata: test\n\n", r#"message "test"; message "test""#),
    ]);
}

/// Comments are skipped a block of 64 bytes at a time: an event after them must be seen wherever in
/// a block it begins.
#[test]
fn an_event_is_found_after_any_length_of_comments() {
    for comment in [":\n\n", ": keep-alive\n\n", ":\r\n\r\n", "\n"] {
        for count in 1..=130 {
            for padding in 0..3 {
                let first = [": ", &"x".repeat(padding), "\n"].concat();
                let stream = [first.as_str(), comment.repeat(count).as_str(), "data: a\n\n"].concat();
                let (items, _) = decode(Limits::default(), [stream.repeat(2).as_bytes()]);
                assert_eq!(items.len(), 2, "{count} times {comment:?}, {padding}");
            }
        }
    }
}
