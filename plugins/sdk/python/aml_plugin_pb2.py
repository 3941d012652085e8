"""The messages and services of aml.plugin.v1. Written by .ci/protogen.go: do not edit."""

import base64

from google.protobuf import descriptor_pool
from google.protobuf.internal import builder


def _add(text):
    file = descriptor_pool.Default().AddSerializedFile(base64.b64decode(text))
    builder.BuildMessageAndEnumDescriptors(file, globals())
    builder.BuildTopDescriptorsAndMessages(file, __name__, globals())


# aml/plugin/v1/release.proto
_add(
    "ChthbWwvcGx1Z2luL3YxL3JlbGVhc2UucHJvdG8SDWFtbC5wbHVnaW4udjEitQMKB1JlbGVhc2USGAoHY2hhbm5lbBgBIAEoCVIHY2hhbm5lbB"
    "InCgRraW5kGAIgASgOMhMuYW1sLnBsdWdpbi52MS5LaW5kUgRraW5kEhAKA2xvZxgDIAEoDFIDbG9nEhQKBWVwb2NoGAQgASgEUgVlcG9jaBIQ"
    "CgNzZXEYBSABKARSA3NlcRISCgRoYXNoGAYgASgMUgRoYXNoEhYKBmlzc3VlZBgHIAEoA1IGaXNzdWVkEhQKBXRpdGxlGAggASgJUgV0aXRsZR"
    "IgCgtkZXNjcmlwdGlvbhgJIAEoCVILZGVzY3JpcHRpb24SQAoIbWV0YWRhdGEYCiADKAsyJC5hbWwucGx1Z2luLnYxLlJlbGVhc2UuTWV0YWRh"
    "dGFFbnRyeVIIbWV0YWRhdGESLgoHZW50cmllcxgLIAMoCzIULmFtbC5wbHVnaW4udjEuRW50cnlSB2VudHJpZXMSGgoIcmVtb3ZhbHMYDCADKA"
    "lSCHJlbW92YWxzGjsKDU1ldGFkYXRhRW50cnkSEAoDa2V5GAEgASgJUgNrZXkSFAoFdmFsdWUYAiABKAlSBXZhbHVlOgI4ASKtAgoFRW50cnkS"
    "EgoEbmFtZRgBIAEoCVIEbmFtZRISCgRzaXplGAIgASgEUgRzaXplEh0KCm1lZGlhX3R5cGUYAyABKAlSCW1lZGlhVHlwZRIWCgZzaGEyNTYYBC"
    "ABKAxSBnNoYTI1NhISCgRtb2RlGAUgASgNUgRtb2RlEhoKCG1vZGlmaWVkGAYgASgDUghtb2RpZmllZBI1CgVhdHRycxgHIAMoCzIfLmFtbC5w"
    "bHVnaW4udjEuRW50cnkuQXR0cnNFbnRyeVIFYXR0cnMSEgoEcm9vdBgIIAEoDFIEcm9vdBIQCgNrZXkYCSABKAxSA2tleRo4CgpBdHRyc0VudH"
    "J5EhAKA2tleRgBIAEoCVIDa2V5EhQKBXZhbHVlGAIgASgJUgV2YWx1ZToCOAEqPQoES2luZBIUChBLSU5EX1VOU1BFQ0lGSUVEEAASDgoKS0lO"
    "RF9NRURJQRABEg8KC0tJTkRfVVBEQVRFEAJCTVpLZ2l0aHViLmNvbS9hbm9ueW1vdXMtbWVkaWEtbGlicmFyeS9hbWwvcGx1Z2lucy9wcm90by"
    "9hbWwvcGx1Z2luL3YxO3BsdWdpbnYxYgZwcm90bzM="
)

# aml/plugin/v1/filter.proto
_add(
    "ChphbWwvcGx1Z2luL3YxL2ZpbHRlci5wcm90bxINYW1sLnBsdWdpbi52MRobYW1sL3BsdWdpbi92MS9yZWxlYXNlLnByb3RvIksKFUZpbHRlck"
    "1hbmlmZXN0UmVxdWVzdBIyCghyZWxlYXNlcxgBIAMoCzIWLmFtbC5wbHVnaW4udjEuUmVsZWFzZVIIcmVsZWFzZXMiUgoWRmlsdGVyTWFuaWZl"
    "c3RSZXNwb25zZRI4Cgh2ZXJkaWN0cxgBIAMoCzIcLmFtbC5wbHVnaW4udjEuRmlsdGVyVmVyZGljdFIIdmVyZGljdHMi7QEKDUZpbHRlclZlcm"
    "RpY3QSMwoIZGVjaXNpb24YASABKA4yFy5hbWwucGx1Z2luLnYxLkRlY2lzaW9uUghkZWNpc2lvbhIWCgZyZWFzb24YAiABKAlSBnJlYXNvbhIS"
    "CgRtYXNrGAMgAygJUgRtYXNrEkAKBmxhYmVscxgEIAMoCzIoLmFtbC5wbHVnaW4udjEuRmlsdGVyVmVyZGljdC5MYWJlbHNFbnRyeVIGbGFiZW"
    "xzGjkKC0xhYmVsc0VudHJ5EhAKA2tleRgBIAEoCVIDa2V5EhQKBXZhbHVlGAIgASgJUgV2YWx1ZToCOAEqZAoIRGVjaXNpb24SGAoUREVDSVNJ"
    "T05fVU5TUEVDSUZJRUQQABISCg5ERUNJU0lPTl9BTExPVxABEhEKDURFQ0lTSU9OX0RFTlkQAhIXChNERUNJU0lPTl9RVUFSQU5USU5FEAMyZw"
    "oGRmlsdGVyEl0KDkZpbHRlck1hbmlmZXN0EiQuYW1sLnBsdWdpbi52MS5GaWx0ZXJNYW5pZmVzdFJlcXVlc3QaJS5hbWwucGx1Z2luLnYxLkZp"
    "bHRlck1hbmlmZXN0UmVzcG9uc2VCTVpLZ2l0aHViLmNvbS9hbm9ueW1vdXMtbWVkaWEtbGlicmFyeS9hbWwvcGx1Z2lucy9wcm90by9hbWwvcG"
    "x1Z2luL3YxO3BsdWdpbnYxYgZwcm90bzM="
)

# aml/plugin/v1/mirror.proto
_add(
    "ChphbWwvcGx1Z2luL3YxL21pcnJvci5wcm90bxINYW1sLnBsdWdpbi52MSJECgpQdXRSZXF1ZXN0Eg4KAmlkGAEgASgMUgJpZBISCgRzaXplGA"
    "IgASgEUgRzaXplEhIKBGRhdGEYAyABKAxSBGRhdGEiDQoLUHV0UmVzcG9uc2UiHgoKSGFzUmVxdWVzdBIQCgNpZHMYASADKAxSA2lkcyIfCgtI"
    "YXNSZXNwb25zZRIQCgNoYXMYASADKAhSA2hhcyIcCgpHZXRSZXF1ZXN0Eg4KAmlkGAEgASgMUgJpZCIhCgtHZXRSZXNwb25zZRISCgRkYXRhGA"
    "EgASgMUgRkYXRhIiEKDURlbGV0ZVJlcXVlc3QSEAoDaWRzGAEgAygMUgNpZHMiEAoORGVsZXRlUmVzcG9uc2UyjQIKBk1pcnJvchI+CgNQdXQS"
    "GS5hbWwucGx1Z2luLnYxLlB1dFJlcXVlc3QaGi5hbWwucGx1Z2luLnYxLlB1dFJlc3BvbnNlKAESPAoDSGFzEhkuYW1sLnBsdWdpbi52MS5IYX"
    "NSZXF1ZXN0GhouYW1sLnBsdWdpbi52MS5IYXNSZXNwb25zZRI+CgNHZXQSGS5hbWwucGx1Z2luLnYxLkdldFJlcXVlc3QaGi5hbWwucGx1Z2lu"
    "LnYxLkdldFJlc3BvbnNlMAESRQoGRGVsZXRlEhwuYW1sLnBsdWdpbi52MS5EZWxldGVSZXF1ZXN0Gh0uYW1sLnBsdWdpbi52MS5EZWxldGVSZX"
    "Nwb25zZUJNWktnaXRodWIuY29tL2Fub255bW91cy1tZWRpYS1saWJyYXJ5L2FtbC9wbHVnaW5zL3Byb3RvL2FtbC9wbHVnaW4vdjE7cGx1Z2lu"
    "djFiBnByb3RvMw=="
)

# aml/plugin/v1/observe.proto
_add(
    "ChthbWwvcGx1Z2luL3YxL29ic2VydmUucHJvdG8SDWFtbC5wbHVnaW4udjEifgoOT2JzZXJ2ZVJlcXVlc3QSFgoGY3Vyc29yGAEgASgEUgZjdX"
    "Jzb3ISEgoEdGltZRgCIAEoA1IEdGltZRIUCgVldmVudBgDIAEoCVIFZXZlbnQSEgoEanNvbhgEIAEoCVIEanNvbhIWCgZtaXNzZWQYBSABKARS"
    "Bm1pc3NlZCIpCg9PYnNlcnZlUmVzcG9uc2USFgoGY3Vyc29yGAEgASgEUgZjdXJzb3IyWAoIT2JzZXJ2ZXISTAoHT2JzZXJ2ZRIdLmFtbC5wbH"
    "VnaW4udjEuT2JzZXJ2ZVJlcXVlc3QaHi5hbWwucGx1Z2luLnYxLk9ic2VydmVSZXNwb25zZSgBMAFCTVpLZ2l0aHViLmNvbS9hbm9ueW1vdXMt"
    "bWVkaWEtbGlicmFyeS9hbWwvcGx1Z2lucy9wcm90by9hbWwvcGx1Z2luL3YxO3BsdWdpbnYxYgZwcm90bzM="
)

# aml/plugin/v1/plan.proto
_add(
    "ChhhbWwvcGx1Z2luL3YxL3BsYW4ucHJvdG8SDWFtbC5wbHVnaW4udjEaG2FtbC9wbHVnaW4vdjEvcmVsZWFzZS5wcm90byKaAgoQUGxhbkZldG"
    "NoUmVxdWVzdBIiCgxzdWJzY3JpcHRpb24YASABKAlSDHN1YnNjcmlwdGlvbhIwCgdyZWxlYXNlGAIgASgLMhYuYW1sLnBsdWdpbi52MS5SZWxl"
    "YXNlUgdyZWxlYXNlEjAKBWZpbGVzGAMgAygLMhouYW1sLnBsdWdpbi52MS5QbGFubmVkRmlsZVIFZmlsZXMSQwoGbGFiZWxzGAQgAygLMisuYW"
    "1sLnBsdWdpbi52MS5QbGFuRmV0Y2hSZXF1ZXN0LkxhYmVsc0VudHJ5UgZsYWJlbHMaOQoLTGFiZWxzRW50cnkSEAoDa2V5GAEgASgJUgNrZXkS"
    "FAoFdmFsdWUYAiABKAlSBXZhbHVlOgI4ASI1CgtQbGFubmVkRmlsZRISCgRuYW1lGAEgASgJUgRuYW1lEhIKBHBhdGgYAiABKAlSBHBhdGgiSA"
    "oRUGxhbkZldGNoUmVzcG9uc2USMwoHY2hhbmdlcxgBIAMoCzIZLmFtbC5wbHVnaW4udjEuUGxhbkNoYW5nZVIHY2hhbmdlcyJ8CgpQbGFuQ2hh"
    "bmdlEhIKBG5hbWUYASABKAlSBG5hbWUSEgoEc2tpcBgCIAEoCFIEc2tpcBIWCgZyZWFzb24YAyABKAlSBnJlYXNvbhIaCghwcmlvcml0eRgEIA"
    "EoEVIIcHJpb3JpdHkSEgoEcGF0aBgFIAEoCVIEcGF0aDJZCgdQbGFubmVyEk4KCVBsYW5GZXRjaBIfLmFtbC5wbHVnaW4udjEuUGxhbkZldGNo"
    "UmVxdWVzdBogLmFtbC5wbHVnaW4udjEuUGxhbkZldGNoUmVzcG9uc2VCTVpLZ2l0aHViLmNvbS9hbm9ueW1vdXMtbWVkaWEtbGlicmFyeS9hbW"
    "wvcGx1Z2lucy9wcm90by9hbWwvcGx1Z2luL3YxO3BsdWdpbnYxYgZwcm90bzM="
)

# aml/plugin/v1/plugin.proto
_add(
    "ChphbWwvcGx1Z2luL3YxL3BsdWdpbi5wcm90bxINYW1sLnBsdWdpbi52MSI0Cg9EZXNjcmliZVJlcXVlc3QSIQoMaG9zdF92ZXJzaW9uGAEgAS"
    "gJUgtob3N0VmVyc2lvbiJnChBEZXNjcmliZVJlc3BvbnNlEg4KAmlkGAEgASgJUgJpZBIYCgd2ZXJzaW9uGAIgASgJUgd2ZXJzaW9uEikKBWhv"
    "b2tzGAMgAygOMhMuYW1sLnBsdWdpbi52MS5Ib29rUgVob29rcyLqAQoQQ29uZmlndXJlUmVxdWVzdBJDCgZjb25maWcYASADKAsyKy5hbWwucG"
    "x1Z2luLnYxLkNvbmZpZ3VyZVJlcXVlc3QuQ29uZmlnRW50cnlSBmNvbmZpZxIzCgdncmFudGVkGAIgAygOMhkuYW1sLnBsdWdpbi52MS5DYXBh"
    "YmlsaXR5UgdncmFudGVkEiEKDHN0YXRlX2ZvbGRlchgDIAEoCVILc3RhdGVGb2xkZXIaOQoLQ29uZmlnRW50cnkSEAoDa2V5GAEgASgJUgNrZX"
    "kSFAoFdmFsdWUYAiABKAlSBXZhbHVlOgI4ASITChFDb25maWd1cmVSZXNwb25zZSrPAQoESG9vaxIUChBIT09LX1VOU1BFQ0lGSUVEEAASGAoU"
    "SE9PS19GSUxURVJfTUFOSUZFU1QQARITCg9IT09LX1BMQU5fRkVUQ0gQAhIVChFIT09LX1NDQU5fQ09OVEVOVBADEhcKE0hPT0tfQkVGT1JFX1"
    "BVQkxJU0gQBBIPCgtIT09LX1NPVVJDRRAFEg8KC0hPT0tfTUlSUk9SEAYSDwoLSE9PS19SRU5ERVIQBxINCglIT09LX1NJR04QCBIQCgxIT09L"
    "X09CU0VSVkUQCSq3AQoKQ2FwYWJpbGl0eRIaChZDQVBBQklMSVRZX1VOU1BFQ0lGSUVEEAASGAoUQ0FQQUJJTElUWV9QTEFJTlRFWFQQARITCg"
    "9DQVBBQklMSVRZX0tFWVMQAhIWChJDQVBBQklMSVRZX1BVQkxJU0gQAxIWChJDQVBBQklMSVRZX05FVFdPUksQBBIUChBDQVBBQklMSVRZX0ZJ"
    "TEVTEAUSGAoUQ0FQQUJJTElUWV9QUk9DRVNTRVMQBjKlAQoGUGx1Z2luEksKCERlc2NyaWJlEh4uYW1sLnBsdWdpbi52MS5EZXNjcmliZVJlcX"
    "Vlc3QaHy5hbWwucGx1Z2luLnYxLkRlc2NyaWJlUmVzcG9uc2USTgoJQ29uZmlndXJlEh8uYW1sLnBsdWdpbi52MS5Db25maWd1cmVSZXF1ZXN0"
    "GiAuYW1sLnBsdWdpbi52MS5Db25maWd1cmVSZXNwb25zZUJNWktnaXRodWIuY29tL2Fub255bW91cy1tZWRpYS1saWJyYXJ5L2FtbC9wbHVnaW"
    "5zL3Byb3RvL2FtbC9wbHVnaW4vdjE7cGx1Z2ludjFiBnByb3RvMw=="
)

# aml/plugin/v1/publish.proto
_add(
    "ChthbWwvcGx1Z2luL3YxL3B1Ymxpc2gucHJvdG8SDWFtbC5wbHVnaW4udjEaG2FtbC9wbHVnaW4vdjEvcmVsZWFzZS5wcm90byJcChRCZWZvcm"
    "VQdWJsaXNoUmVxdWVzdBIYCgdjaGFubmVsGAEgASgJUgdjaGFubmVsEioKBWRyYWZ0GAIgASgLMhQuYW1sLnBsdWdpbi52MS5EcmFmdFIFZHJh"
    "ZnQitgIKBURyYWZ0EhQKBXRpdGxlGAEgASgJUgV0aXRsZRIgCgtkZXNjcmlwdGlvbhgCIAEoCVILZGVzY3JpcHRpb24SPgoIbWV0YWRhdGEYAy"
    "ADKAsyIi5hbWwucGx1Z2luLnYxLkRyYWZ0Lk1ldGFkYXRhRW50cnlSCG1ldGFkYXRhEi4KBWZpbGVzGAQgAygLMhguYW1sLnBsdWdpbi52MS5E"
    "cmFmdEZpbGVSBWZpbGVzEhYKBnJlbW92ZRgFIAMoCVIGcmVtb3ZlEjAKB2VhcmxpZXIYBiADKAsyFi5hbWwucGx1Z2luLnYxLlJlbGVhc2VSB2"
    "VhcmxpZXIaOwoNTWV0YWRhdGFFbnRyeRIQCgNrZXkYASABKAlSA2tleRIUCgV2YWx1ZRgCIAEoCVIFdmFsdWU6AjgBIt8BCglEcmFmdEZpbGUS"
    "EgoEbmFtZRgBIAEoCVIEbmFtZRISCgRzaXplGAIgASgEUgRzaXplEh0KCm1lZGlhX3R5cGUYAyABKAlSCW1lZGlhVHlwZRIWCgZzaGEyNTYYBC"
    "ABKAxSBnNoYTI1NhI5CgVhdHRycxgFIAMoCzIjLmFtbC5wbHVnaW4udjEuRHJhZnRGaWxlLkF0dHJzRW50cnlSBWF0dHJzGjgKCkF0dHJzRW50"
    "cnkSEAoDa2V5GAEgASgJUgNrZXkSFAoFdmFsdWUYAiABKAlSBXZhbHVlOgI4ASJvChVCZWZvcmVQdWJsaXNoUmVzcG9uc2USEgoEZGVueRgBIA"
    "EoCFIEZGVueRIWCgZyZWFzb24YAiABKAlSBnJlYXNvbhIqCgVkcmFmdBgDIAEoCzIULmFtbC5wbHVnaW4udjEuRHJhZnRSBWRyYWZ0MmIKBEdh"
    "dGUSWgoNQmVmb3JlUHVibGlzaBIjLmFtbC5wbHVnaW4udjEuQmVmb3JlUHVibGlzaFJlcXVlc3QaJC5hbWwucGx1Z2luLnYxLkJlZm9yZVB1Ym"
    "xpc2hSZXNwb25zZUJNWktnaXRodWIuY29tL2Fub255bW91cy1tZWRpYS1saWJyYXJ5L2FtbC9wbHVnaW5zL3Byb3RvL2FtbC9wbHVnaW4vdjE7"
    "cGx1Z2ludjFiBnByb3RvMw=="
)

# aml/plugin/v1/render.proto
_add(
    "ChphbWwvcGx1Z2luL3YxL3JlbmRlci5wcm90bxINYW1sLnBsdWdpbi52MRobYW1sL3BsdWdpbi92MS9yZWxlYXNlLnByb3RvIn8KDVJlbmRlcl"
    "JlcXVlc3QSMgoFc3RhcnQYASABKAsyGi5hbWwucGx1Z2luLnYxLlJlbmRlclN0YXJ0SABSBXN0YXJ0EjIKB3JlbGVhc2UYAiABKAsyFi5hbWwu"
    "cGx1Z2luLnYxLlJlbGVhc2VIAFIHcmVsZWFzZUIGCgRwYXJ0IpkBCgtSZW5kZXJTdGFydBIYCgdjaGFubmVsGAEgASgJUgdjaGFubmVsEhQKBX"
    "RpdGxlGAIgASgJUgV0aXRsZRInCgRraW5kGAMgASgOMhMuYW1sLnBsdWdpbi52MS5LaW5kUgRraW5kEhYKBmZvcm1hdBgEIAEoCVIGZm9ybWF0"
    "EhkKCGJhc2VfdXJsGAUgASgJUgdiYXNlVXJsIkMKDlJlbmRlclJlc3BvbnNlEh0KCm1lZGlhX3R5cGUYASABKAlSCW1lZGlhVHlwZRISCgRkYX"
    "RhGAIgASgMUgRkYXRhMlUKCFJlbmRlcmVyEkkKBlJlbmRlchIcLmFtbC5wbHVnaW4udjEuUmVuZGVyUmVxdWVzdBodLmFtbC5wbHVnaW4udjEu"
    "UmVuZGVyUmVzcG9uc2UoATABQk1aS2dpdGh1Yi5jb20vYW5vbnltb3VzLW1lZGlhLWxpYnJhcnkvYW1sL3BsdWdpbnMvcHJvdG8vYW1sL3BsdW"
    "dpbi92MTtwbHVnaW52MWIGcHJvdG8z"
)

# aml/plugin/v1/scan.proto
_add(
    "ChhhbWwvcGx1Z2luL3YxL3NjYW4ucHJvdG8SDWFtbC5wbHVnaW4udjEaG2FtbC9wbHVnaW4vdjEvcmVsZWFzZS5wcm90bxoaYW1sL3BsdWdpbi"
    "92MS9maWx0ZXIucHJvdG8iZAoSU2NhbkNvbnRlbnRSZXF1ZXN0EjAKBXN0YXJ0GAEgASgLMhguYW1sLnBsdWdpbi52MS5TY2FuU3RhcnRIAFIF"
    "c3RhcnQSFAoEZGF0YRgCIAEoDEgAUgRkYXRhQgYKBHBhcnQijgEKCVNjYW5TdGFydBIYCgdjaGFubmVsGAEgASgJUgdjaGFubmVsEicKBGtpbm"
    "QYAiABKA4yEy5hbWwucGx1Z2luLnYxLktpbmRSBGtpbmQSKgoFZW50cnkYAyABKAsyFC5hbWwucGx1Z2luLnYxLkVudHJ5UgVlbnRyeRISCgRw"
    "aXBlGAQgASgJUgRwaXBlIuUBChNTY2FuQ29udGVudFJlc3BvbnNlEjMKCGRlY2lzaW9uGAEgASgOMhcuYW1sLnBsdWdpbi52MS5EZWNpc2lvbl"
    "IIZGVjaXNpb24SFgoGcmVhc29uGAIgASgJUgZyZWFzb24SRgoGbGFiZWxzGAMgAygLMi4uYW1sLnBsdWdpbi52MS5TY2FuQ29udGVudFJlc3Bv"
    "bnNlLkxhYmVsc0VudHJ5UgZsYWJlbHMaOQoLTGFiZWxzRW50cnkSEAoDa2V5GAEgASgJUgNrZXkSFAoFdmFsdWUYAiABKAlSBXZhbHVlOgI4AT"
    "JhCgdTY2FubmVyElYKC1NjYW5Db250ZW50EiEuYW1sLnBsdWdpbi52MS5TY2FuQ29udGVudFJlcXVlc3QaIi5hbWwucGx1Z2luLnYxLlNjYW5D"
    "b250ZW50UmVzcG9uc2UoAUJNWktnaXRodWIuY29tL2Fub255bW91cy1tZWRpYS1saWJyYXJ5L2FtbC9wbHVnaW5zL3Byb3RvL2FtbC9wbHVnaW"
    "4vdjE7cGx1Z2ludjFiBnByb3RvMw=="
)

# aml/plugin/v1/sign.proto
_add(
    "ChhhbWwvcGx1Z2luL3YxL3NpZ24ucHJvdG8SDWFtbC5wbHVnaW4udjEiEwoRUHVibGljS2V5c1JlcXVlc3QiKAoSUHVibGljS2V5c1Jlc3Bvbn"
    "NlEhIKBGtleXMYASADKAxSBGtleXMiOQoLU2lnblJlcXVlc3QSEAoDa2V5GAEgASgMUgNrZXkSGAoHbWVzc2FnZRgCIAEoDFIHbWVzc2FnZSIs"
    "CgxTaWduUmVzcG9uc2USHAoJc2lnbmF0dXJlGAEgASgMUglzaWduYXR1cmUynAEKBlNpZ25lchJRCgpQdWJsaWNLZXlzEiAuYW1sLnBsdWdpbi"
    "52MS5QdWJsaWNLZXlzUmVxdWVzdBohLmFtbC5wbHVnaW4udjEuUHVibGljS2V5c1Jlc3BvbnNlEj8KBFNpZ24SGi5hbWwucGx1Z2luLnYxLlNp"
    "Z25SZXF1ZXN0GhsuYW1sLnBsdWdpbi52MS5TaWduUmVzcG9uc2VCTVpLZ2l0aHViLmNvbS9hbm9ueW1vdXMtbWVkaWEtbGlicmFyeS9hbWwvcG"
    "x1Z2lucy9wcm90by9hbWwvcGx1Z2luL3YxO3BsdWdpbnYxYgZwcm90bzM="
)

# aml/plugin/v1/source.proto
_add(
    "ChphbWwvcGx1Z2luL3YxL3NvdXJjZS5wcm90bxINYW1sLnBsdWdpbi52MSI5CgtQb2xsUmVxdWVzdBIWCgZjdXJzb3IYASABKAxSBmN1cnNvch"
    "ISCgRmcm9tGAIgASgJUgRmcm9tIlUKDFBvbGxSZXNwb25zZRItCgRpdGVtGAEgASgLMhkuYW1sLnBsdWdpbi52MS5Tb3VyY2VJdGVtUgRpdGVt"
    "EhYKBmN1cnNvchgCIAEoDFIGY3Vyc29yIs8CCgpTb3VyY2VJdGVtEg4KAmlkGAEgASgJUgJpZBIYCgd2ZXJzaW9uGAIgASgJUgd2ZXJzaW9uEh"
    "QKBXRpdGxlGAMgASgJUgV0aXRsZRIgCgtkZXNjcmlwdGlvbhgEIAEoCVILZGVzY3JpcHRpb24SQwoIbWV0YWRhdGEYBSADKAsyJy5hbWwucGx1"
    "Z2luLnYxLlNvdXJjZUl0ZW0uTWV0YWRhdGFFbnRyeVIIbWV0YWRhdGESEgoEZGF0ZRgGIAEoA1IEZGF0ZRIvCgVmaWxlcxgHIAMoCzIZLmFtbC"
    "5wbHVnaW4udjEuU291cmNlRmlsZVIFZmlsZXMSGAoHcmVtb3ZlZBgIIAEoCFIHcmVtb3ZlZBo7Cg1NZXRhZGF0YUVudHJ5EhAKA2tleRgBIAEo"
    "CVIDa2V5EhQKBXZhbHVlGAIgASgJUgV2YWx1ZToCOAEi/QEKClNvdXJjZUZpbGUSEgoEbmFtZRgBIAEoCVIEbmFtZRIdCgptZWRpYV90eXBlGA"
    "IgASgJUgltZWRpYVR5cGUSEgoEc2l6ZRgDIAEoBFIEc2l6ZRIWCgZoYW5kbGUYBCABKAlSBmhhbmRsZRI6CgVhdHRycxgFIAMoCzIkLmFtbC5w"
    "bHVnaW4udjEuU291cmNlRmlsZS5BdHRyc0VudHJ5UgVhdHRycxIaCghvcHRpb25hbBgGIAEoCFIIb3B0aW9uYWwaOAoKQXR0cnNFbnRyeRIQCg"
    "NrZXkYASABKAlSA2tleRIUCgV2YWx1ZRgCIAEoCVIFdmFsdWU6AjgBIj0KC09wZW5SZXF1ZXN0EhYKBmhhbmRsZRgBIAEoCVIGaGFuZGxlEhYK"
    "Bm9mZnNldBgCIAEoBFIGb2Zmc2V0IiIKDE9wZW5SZXNwb25zZRISCgRkYXRhGAEgASgMUgRkYXRhMo4BCgZTb3VyY2USQQoEUG9sbBIaLmFtbC"
    "5wbHVnaW4udjEuUG9sbFJlcXVlc3QaGy5hbWwucGx1Z2luLnYxLlBvbGxSZXNwb25zZTABEkEKBE9wZW4SGi5hbWwucGx1Z2luLnYxLk9wZW5S"
    "ZXF1ZXN0GhsuYW1sLnBsdWdpbi52MS5PcGVuUmVzcG9uc2UwAUJNWktnaXRodWIuY29tL2Fub255bW91cy1tZWRpYS1saWJyYXJ5L2FtbC9wbH"
    "VnaW5zL3Byb3RvL2FtbC9wbHVnaW4vdjE7cGx1Z2ludjFiBnByb3RvMw=="
)

# By the service's and the method's name: what it gets and gives, and whether these are streams.
SERVICES = {
    "aml.plugin.v1.Filter": {
        "FilterManifest": (FilterManifestRequest, FilterManifestResponse, False, False),
    },
    "aml.plugin.v1.Mirror": {
        "Put": (PutRequest, PutResponse, True, False),
        "Has": (HasRequest, HasResponse, False, False),
        "Get": (GetRequest, GetResponse, False, True),
        "Delete": (DeleteRequest, DeleteResponse, False, False),
    },
    "aml.plugin.v1.Observer": {
        "Observe": (ObserveRequest, ObserveResponse, True, True),
    },
    "aml.plugin.v1.Planner": {
        "PlanFetch": (PlanFetchRequest, PlanFetchResponse, False, False),
    },
    "aml.plugin.v1.Plugin": {
        "Describe": (DescribeRequest, DescribeResponse, False, False),
        "Configure": (ConfigureRequest, ConfigureResponse, False, False),
    },
    "aml.plugin.v1.Gate": {
        "BeforePublish": (BeforePublishRequest, BeforePublishResponse, False, False),
    },
    "aml.plugin.v1.Renderer": {
        "Render": (RenderRequest, RenderResponse, True, True),
    },
    "aml.plugin.v1.Scanner": {
        "ScanContent": (ScanContentRequest, ScanContentResponse, True, False),
    },
    "aml.plugin.v1.Signer": {
        "PublicKeys": (PublicKeysRequest, PublicKeysResponse, False, False),
        "Sign": (SignRequest, SignResponse, False, False),
    },
    "aml.plugin.v1.Source": {
        "Poll": (PollRequest, PollResponse, False, True),
        "Open": (OpenRequest, OpenResponse, False, True),
    },
}
