//! Which characters beyond ASCII are shown: those of scripts, and not those that are invisible or change the direction.

/// At most `most` marks stand on a letter in any orthography: vowels, tones and signs of Hebrew and Tibetan.
const MOST_MARKS: usize = 4;

/// The characters of `text` that are shown, with marks only on letters.
pub(super) fn of_scripts(text: &str) -> String {
    let mut marks = MOST_MARKS;
    let is_shown = |c: &char| {
        if is_mark(*c) {
            marks += 1;
            return marks <= MOST_MARKS;
        }
        let is_shown = super::allowed(*c) || is_of_a_script(*c);
        if is_shown {
            marks = if c.is_alphanumeric() { 0 } else { MOST_MARKS };
        }
        is_shown
    };
    text.chars().filter(is_shown).collect()
}

/// Letters with their marks, digits and punctuation, without controls of direction, joiners and blanks.
pub(crate) fn is_of_a_script(c: char) -> bool {
    // Letters by their category, but invisible: Default_Ignorable_Code_Point in DerivedCoreProperties.txt of Unicode 16.
    let is_filler = matches!(c, '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}');
    !c.is_ascii()
        && !is_filler
        && (c.is_alphanumeric()
            || is_mark(c)
            || matches!(
                c,
                '\u{a1}' | '\u{ab}' | '\u{bb}' | '\u{bf}' | '\u{2010}'..='\u{2027}' | '\u{3001}'..='\u{3011}' | '\u{ff01}'..='\u{ff20}'
            ))
}

/// The marks (Mn and Mc) of the scripts in UAX #31 table 5 that are not alphabetic, after UnicodeData.txt of Unicode 14: a part
/// of words, such as the virama of Hindi and the tones of Thai. Without overlays, which strike a text through, and without
/// ignorable ones.
pub(crate) fn is_mark(c: char) -> bool {
    matches!(
        c,
        // Latin, Greek; Cyrillic; Hebrew; Arabic.
        '\u{300}'..='\u{333}' | '\u{339}'..='\u{344}' | '\u{346}'..='\u{34e}' | '\u{350}'..='\u{362}'
            | '\u{483}'..='\u{487}'
            | '\u{591}'..='\u{5af}'
            | '\u{658}' | '\u{6df}' | '\u{6e0}' | '\u{6ea}'..='\u{6ec}'
            // Devanagari, Bengali, Gurmukhi, Gujarati, Oriya.
            | '\u{93c}' | '\u{94d}' | '\u{951}'..='\u{954}'
            | '\u{9bc}' | '\u{9cd}'
            | '\u{a3c}' | '\u{a4d}'
            | '\u{abc}' | '\u{acd}'
            | '\u{b3c}' | '\u{b4d}' | '\u{b55}'
            // Tamil, Telugu, Kannada, Malayalam, Sinhala.
            | '\u{bcd}'
            | '\u{c3c}' | '\u{c4d}'
            | '\u{cbc}' | '\u{ccd}'
            | '\u{d3b}' | '\u{d3c}' | '\u{d4d}'
            | '\u{dca}'
            // Thai, Lao, Tibetan, Myanmar, Ethiopic, Khmer.
            | '\u{e47}'..='\u{e4c}' | '\u{e4e}'
            | '\u{eba}' | '\u{ec8}'..='\u{ecc}'
            | '\u{f35}' | '\u{f37}' | '\u{f39}' | '\u{f3e}' | '\u{f3f}' | '\u{f84}' | '\u{f86}' | '\u{f87}'
            | '\u{1037}' | '\u{1039}' | '\u{103a}'
            | '\u{135d}'..='\u{135f}'
            | '\u{17c9}'..='\u{17d3}' | '\u{17dd}'
            // Hiragana, Katakana.
            | '\u{3099}' | '\u{309a}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_keep_their_marks() {
        // FB21
        for text in [
            "क्लाइंट अक्षम है, ड़",
            "ไคลเอนต์ถูกปิดใช้งาน",
            "ক্লায়েন্ট নিষ্ক্রিয়",
            "கிளையன்ட் முடக்கப்பட்டது",
            "ක්ලයන්ට්",
            "ម៉ាស៊ីន",
            "လုပ်မရပါ",
            "הַלָּקוֹחַ",
            "cafe\u{301} n\u{303}o, ぱは\u{309a}",
        ] {
            assert_eq!(of_scripts(text), text);
        }
    }

    #[test]
    fn what_is_invisible_or_no_part_of_a_word_is_dropped() {
        for (text, shown) in [
            ("a\u{200d}\u{200c}\u{ad}\u{34f}\u{fe0f}\u{180b}\u{17b4}\u{e0100}\u{202e}b", "ab"),
            ("\u{115f}\u{1160}\u{3164}\u{ffa0}", ""),
            ("c\u{336}l\u{338}\u{489}\u{20dd}", "cl"),
            ("\u{301}a", "a"),
            ("a \u{301}b.\u{94d}", "a b."),
            ("1\u{301}\u{663}\u{301}", "1\u{301}\u{663}\u{301}"),
            ("a\u{200b}\u{301}", "a\u{301}"),
            ("a\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}b\u{301}", "a\u{301}\u{301}\u{301}\u{301}b\u{301}"),
        ] {
            assert_eq!(of_scripts(text), shown, "{text:?}");
        }
    }

    #[test]
    fn the_marks_of_each_script_are_no_letters_and_as_many_as_in_unicode() {
        let scripts = [
            ("Latin and Greek", '\u{300}'..='\u{36f}', 92),
            ("Cyrillic", '\u{480}'..='\u{48f}', 5),
            ("Hebrew", '\u{590}'..='\u{5ff}', 31),
            ("Arabic", '\u{600}'..='\u{6ff}', 6),
            ("Devanagari", '\u{900}'..='\u{97f}', 6),
            ("Bengali", '\u{980}'..='\u{9ff}', 2),
            ("Gurmukhi", '\u{a00}'..='\u{a7f}', 2),
            ("Gujarati", '\u{a80}'..='\u{aff}', 2),
            ("Oriya", '\u{b00}'..='\u{b7f}', 3),
            ("Tamil", '\u{b80}'..='\u{bff}', 1),
            ("Telugu", '\u{c00}'..='\u{c7f}', 2),
            ("Kannada", '\u{c80}'..='\u{cff}', 2),
            ("Malayalam", '\u{d00}'..='\u{d7f}', 3),
            ("Sinhala", '\u{d80}'..='\u{dff}', 1),
            ("Thai", '\u{e00}'..='\u{e7f}', 7),
            ("Lao", '\u{e80}'..='\u{eff}', 6),
            ("Tibetan", '\u{f00}'..='\u{fff}', 8),
            ("Myanmar", '\u{1000}'..='\u{109f}', 3),
            ("Ethiopic", '\u{1350}'..='\u{137f}', 3),
            ("Khmer", '\u{1780}'..='\u{17ff}', 12),
            ("Hiragana and Katakana", '\u{3040}'..='\u{30ff}', 2),
        ];
        for (script, characters, marks) in scripts.clone() {
            assert_eq!(characters.filter(|c| is_mark(*c)).count(), marks, "{script}");
        }
        let all: Vec<_> = ('\0'..=char::MAX).filter(|c| is_mark(*c)).collect();
        assert_eq!(all.len(), scripts.iter().map(|(.., marks)| marks).sum::<usize>());
        assert!(all.iter().all(|mark| !mark.is_alphanumeric()), "they would be shown without the list");
    }
}
