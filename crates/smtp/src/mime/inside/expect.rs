//! What a part says that it holds, by its type or by a name.

use super::Holder;
use crate::mime::extension::extensions;

/// Names of what is a zip archive, under whatever name: archives, programs, documents.
const ZIPPED: [&str; 58] = [
    "zip",
    "zipx",
    "jar",
    "war",
    "ear",
    "apk",
    "aab",
    "ipa",
    "xpi",
    "crx",
    "vsix",
    "nupkg",
    "whl",
    "egg",
    "kmz",
    "cbz",
    "epub",
    "appx",
    "appxbundle",
    "msix",
    "msixbundle",
    "docx",
    "docm",
    "dotx",
    "dotm",
    "xlsx",
    "xlsm",
    "xlsb",
    "xltx",
    "xltm",
    "xlam",
    "pptx",
    "pptm",
    "potx",
    "potm",
    "ppsx",
    "ppsm",
    "ppam",
    "sldx",
    "sldm",
    "thmx",
    "vsdx",
    "vsdm",
    "vssx",
    "vstx",
    "one",
    "odt",
    "ods",
    "odp",
    "odg",
    "odf",
    "odb",
    "ott",
    "ots",
    "otp",
    "sxw",
    "xps",
    "oxps",
];
const GZIPPED: [&str; 5] = ["gz", "tgz", "taz", "gzip", "svgz"];
/// What such types have in common.
const ZIP_TYPES: [&str; 7] = [
    "zip",
    "java-archive",
    "officedocument",
    "opendocument",
    "macroenabled",
    "android.package",
    "ms-package",
];

/// What to look for from the beginning, whatever the octets begin with.
pub(in crate::mime) fn expected(types: &[String], names: &[String]) -> Vec<Holder> {
    let mut holders = Vec::new();
    let ends = |known: &[&str]| {
        names.iter().any(|name| {
            let last = extensions(name).into_iter().next();
            last.is_some_and(|extension| known.contains(&extension.as_str()))
        })
    };
    let says = |word: &str| types.iter().any(|kind| kind.contains(word));
    let is_tnef = says("ms-tnef") || names.iter().any(|name| name.eq_ignore_ascii_case(WINMAIL));
    if is_tnef {
        holders.push(Holder::Tnef);
    }
    if is_tnef || ends(&ZIPPED) || ZIP_TYPES.into_iter().any(says) {
        holders.push(Holder::Zip);
    }
    if ends(&GZIPPED) || says("gzip") {
        holders.push(Holder::Gzip);
    }
    holders
}

/// What readers call TNEF that states no name.
pub(in crate::mime) const WINMAIL: &str = "winmail.dat";
